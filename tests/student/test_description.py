import json
from dataclasses import fields

import pytest

from policy_distill.student.description import KEYS, Description
from policy_distill.student.file import read_student
from policy_distill.student.runtime import load_student
from tests.students import KINDS, make_student, name_of
from tests.test_golden import GOLDEN


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_file_of_any_version_says_typed_what_it_says_as_json(path):
    _, record = read_student(path)
    said = Description.from_json(record).to_json()
    assert {name: said[name] for name in record} == record
    # What old files left to whoever read them is said now.
    assert set(said) - set(record) <= {"head", "images"}


@pytest.mark.parametrize("path", [path for path in GOLDEN if path.stem[7] >= "3"], ids=lambda path: path.stem)
def test_a_file_that_is_loaded_and_written_again_has_the_same_bytes(path, tmp_path):
    assert load_student(path).save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_what_was_trained_here_is_read_as_it_was_said(kind):
    said = make_student(kind).metadata
    assert Description.from_json(json.loads(json.dumps(said))).to_json() == said


def test_what_a_later_version_notes_is_kept():
    said = make_student(KINDS[0]).metadata
    later = {**said, "mood": "calm", "architecture": {**said["architecture"], "taste": 3}}
    assert Description.from_json(later).to_json() == later


def test_every_field_stands_in_the_file_under_its_name():
    said = {one.name for one in fields(Description)} - {"others"}
    assert len(said) == len(KEYS)
    assert said - KEYS == {"normalizer", "action_map"}
    assert KEYS - said == {"observation_normalization", "action_post_processing"}
