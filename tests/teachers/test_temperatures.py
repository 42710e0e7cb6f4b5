"""A teacher of action values is left as it was, whoever uses it: its temperature is a run's and its student's."""

import numpy as np
import pytest

from policy_distill.evaluation.compare import fidelity_on_own_states
from policy_distill.evaluation.fidelity import as_taught
from policy_distill.run.distill import distill
from policy_distill.student.runtime import load_student
from policy_distill.teachers.load import load_teacher
from tests.teachers.test_every_teacher import QUICK, make_env, make_model

CASE = ("dqn", "discrete", "vector", {})


def same(one, other):
    return all(np.array_equal(one.tensors[name], other.tensors[name]) for name in {**one.tensors, **other.tensors})


def tau(student):
    noted = student.metadata["provenance"]["teacher"]
    return noted.get("temperature") or [member.get("temperature") for member in noted["members"]]


@pytest.fixture(params=["one", "ensemble"])
def open_teacher(request, tmp_path):
    for seed in (0, 1):
        make_model(CASE, seed).save(tmp_path / f"{seed}.zip")
    paths = [tmp_path / "0.zip", tmp_path / "1.zip"]
    return lambda **options: load_teacher(paths[0] if request.param == "one" else paths, **options)


def test_a_teacher_is_left_as_it_was_and_a_second_run_finds_what_the_first_would(open_teacher):
    used = open_teacher()
    obs, starts = np.random.default_rng(0).normal(size=(9, 2, 3)).astype(np.float32), np.zeros((9, 2), bool)
    before = used.label(obs, starts).params
    first = distill(used, make_env(CASE), "mlp:4", **QUICK).student
    assert np.array_equal(used.label(obs, starts).params, before)
    assert used.calibration in (None, [None, None])
    other = distill(used, make_env(CASE), "mlp:4", **{**QUICK, "seed": 5}).student
    assert tau(other) != tau(first)
    again = distill(used, make_env(CASE), "mlp:4", **QUICK).student
    fresh = distill(open_teacher(), make_env(CASE), "mlp:4", **QUICK).student
    assert tau(again) == tau(fresh) == tau(first)
    assert same(again, first)
    assert same(fresh, first)


def test_what_a_student_lost_is_one_number_whichever_teacher_is_asked(open_teacher, tmp_path):
    used = open_teacher()
    result = distill(used, make_env(CASE), "mlp:4", out=tmp_path / "run", **QUICK)
    distill(used, make_env(CASE), "mlp:4", **{**QUICK, "seed": 5})
    student = load_student(tmp_path / "run" / "student.safetensors")
    asked = [used, open_teacher(), used.calibrated(np.ones((2, 2, 3), np.float32))]
    found = {fidelity_on_own_states(teacher, student, make_env(CASE)).kl for teacher in asked}
    assert len(found) == 1
    calibration = as_taught(used, student.metadata["provenance"]).calibration
    assert calibration == tau(result.student)


def test_a_temperature_of_another_teacher_is_not_taken_over(open_teacher, tmp_path):
    student = distill(open_teacher(), make_env(CASE), "mlp:4", **QUICK).student
    make_model(CASE, 9).save(tmp_path / "9.zip")
    other = load_teacher(tmp_path / "9.zip")
    assert as_taught(other, student.metadata["provenance"]) is other
    for broken in (None, {}, {"teacher": None}, {"teacher": {"members": [None]}}):
        assert as_taught(other, broken) is other


def test_a_temperature_by_hand_is_a_copys():
    teacher = load_teacher(make_model(CASE))
    by_hand = load_teacher(teacher, temperature=0.5)
    assert (teacher.temperature, by_hand.temperature, by_hand.fixed, teacher.fixed) == (None, 0.5, True, False)


@pytest.mark.parametrize("lie", [-1.0, 0.0, float("nan"), "warm", True, [1.0]])
def test_a_calibration_that_is_none_is_refused(lie):
    with pytest.raises(ValueError, match="temperature"):
        load_teacher(make_model(CASE)).with_calibration(lie)
