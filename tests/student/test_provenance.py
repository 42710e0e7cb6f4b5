"""What files say of where a student and its teacher come from is read by field, and goes back as it came."""

import json

import pytest

from policy_distill.student.file import read_sealed
from policy_distill.student.onboard.origins import StudentProvenance, TeacherProvenance
from tests.test_golden import FOLDER

SAID = {
    "teacher": {"algorithm": "PPO", "sha256": "ab", "members": [{"seed": 3}], "noted": 1},
    "teacher_sha256": "ab",
    "algorithm": "PPO",
    "env_id": "CartPole-v1",
    "env": {"id": "CartPole-v1"},
    "env_wrappers": [{"name": "FrameStack", "kwargs": {"n_stack": 2}}],
    "env_steps": 100,
    "seed": 0,
    "config": {"seed": 0},
    "library_versions": {"torch": "2"},
    "spent_seeds": [],
    "few_bits": {"method": "int4", "layers": "layers.safetensors"},
    "of_a_later_version": [1, 2],
}


def test_it_goes_back_as_it_came_what_other_versions_note_included():
    assert json.dumps(StudentProvenance.of(SAID).to_json()) == json.dumps(SAID)
    without = {name: value for name, value in SAID.items() if name not in ("spent_seeds", "few_bits")}
    assert json.dumps(StudentProvenance.of(without).to_json()) == json.dumps(without)


def test_its_teacher_is_read_too():
    teacher = StudentProvenance.of(SAID).taught_by
    assert (teacher.algorithm, teacher.sha256, teacher.members) == ("PPO", "ab", [{"seed": 3}])
    assert StudentProvenance.of({}).taught_by == TeacherProvenance.of(None)


@pytest.mark.parametrize("lie", [None, "text", 7, [], {"env_id": 3, "env_steps": "many", "teacher": [], "config": "x"}])
def test_what_has_another_form_counts_as_not_said(lie):
    found = StudentProvenance.of(lie)
    assert (found.env_id, found.env_steps, found.teacher, found.config) == (None, None, None, None)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_files_of_every_version_are_read_whole(path):
    said = read_sealed(path)[1].get("provenance")
    if said is not None:
        found = StudentProvenance.of(said).to_json()
        assert {name: value for name, value in found.items() if value is not None or name in said} == said
