"""A file of several tasks: what it refuses, and what a student of one of them is."""

import json
import pickle

import numpy as np
import pytest

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.student.file import read_sealed, write_sealed
from policy_distill.student.runtime import load_student
from tests.test_golden import MANY

(GOLDEN,) = MANY


@pytest.fixture
def many():
    return load_student(GOLDEN)


@pytest.mark.parametrize(
    "ask",
    [
        lambda student: student.act,
        lambda student: student.predict([0.0]),
        lambda student: student.observation_space,
        lambda student: student.metadata,
        lambda student: student.provenance,
        lambda student: student.torch(),
        lambda student: student.record,
        lambda student: student.seed(0) or student.reset(),
    ],
)
def test_what_only_one_task_can_do_is_refused_in_one_line_that_names_them(many, ask):
    with pytest.raises(RequestError, match="expected one task, found a student of 2: narrow, wide; choose one with"):
        ask(many)


def test_shared_numbers_are_there_once_and_inputs_that_a_task_lacks_take_nothing_from_it(many):
    narrow, wide = many.task("narrow"), many.task("wide")
    assert narrow.tensors["network.0.weight"].shape == (6, 3)
    assert np.array_equal(wide.tensors["network.0.weight"][:, :3], narrow.tensors["network.0.weight"])
    assert many.n_params == narrow.n_params + wide.n_params - 6 * 3 - 7 * 6 - 7
    assert many.n_bytes == 4 * many.n_params
    padded = np.concatenate([np.ones(3), np.zeros(2)]).astype(np.float32)
    first = {name: one.tensors["network.0.weight"] for name, one in (("narrow", narrow), ("wide", wide))}
    assert np.allclose(first["narrow"] @ padded[:3], first["wide"] @ padded)


def test_it_is_pickled_and_saved_as_it_is(many, tmp_path):
    again = pickle.loads(pickle.dumps(many))
    assert again.task_names == many.task_names
    assert many.save(tmp_path / "again.safetensors").read_bytes() == GOLDEN.read_bytes()


def test_a_task_that_there_is_not_is_refused_with_those_that_there_are(many, tmp_path):
    with pytest.raises(RequestError, match="expected a task among narrow, wide, found 'walk'"):
        many.task("walk")
    alone = load_student(many.task("narrow").save(tmp_path / "alone.safetensors"))
    assert alone.task("narrow").n_params == alone.n_params
    with pytest.raises(RequestError, match="expected the one task narrow, found 'wide'"):
        alone.task("wide")


def spoiled(change):
    tensors, record = read_sealed(GOLDEN)
    record = json.loads(json.dumps(record))
    change(tensors, record)
    return tensors, record


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, record: record["tasks"].clear(),
        lambda tensors, record: record.update(tasks=[1]),
        lambda tensors, record: record["tasks"].update({f"t{i}": record["tasks"]["wide"] for i in range(100)}),
        lambda tensors, record: record["tasks"]["wide"].pop("student"),
        lambda tensors, record: record["tasks"]["wide"]["arrays"].pop("network.0.bias"),
        lambda tensors, record: record["tasks"]["wide"]["arrays"].update({"network.0.bias": ["nothing", None]}),
        lambda tensors, record: record["tasks"]["narrow"]["arrays"]["network.0.weight"].__setitem__(1, 9),
        lambda tensors, record: record["tasks"]["narrow"]["arrays"]["network.0.weight"].__setitem__(1, "3"),
        lambda tensors, record: record["tasks"]["narrow"]["student"]["architecture"].update(n_params=1),
        lambda tensors, record: tensors.update(more=np.zeros(3, np.float32)),
        lambda tensors, record: tensors["body.network.2.weight"].fill(np.nan),
    ],
)
def test_a_file_that_lies_is_refused_in_one_line(tmp_path, change):
    path = tmp_path / "student.safetensors"
    tensors, record = spoiled(change)
    write_sealed(path, tensors, record)
    with pytest.raises(RequestError) as refused:
        load_student(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", ["bench", "explain"])
def test_a_command_of_one_student_says_which_tasks_there_are(command, capfd):
    assert main([command, str(GOLDEN)]) == 2
    assert "found a student of 2: narrow, wide" in capfd.readouterr().err


def test_info_says_what_tasks_share_and_all_of_one(capfd):
    assert main(["info", str(GOLDEN), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["kind"] == "student of several tasks"
    assert list(found["tasks"]) == ["narrow", "wide"]
    assert main(["info", str(GOLDEN), "--task", "wide", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["n_params"] == found["tasks"]["wide"]["n_params"]
    assert main(["info", str(GOLDEN), "--task", "walk"]) == 2
