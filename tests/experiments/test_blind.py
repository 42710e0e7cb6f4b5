"""The benchmark of students that see less: another recipe beside ours."""

import numpy as np
import pytest
import torch

from experiments.benchmarks.blind import rows_of
from experiments.benchmarks.windows_of_means import WindowStudent, distill_in_windows
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from tests.doubles import pendulum_teacher

OBS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@pytest.mark.parametrize("spec", ["mlp:8", "gru:4+mlp:8", "gru:4"])
def test_a_student_on_windows_sees_its_components_alone_and_forgets_at_an_episode_s_start(spec):
    torch.manual_seed(0)
    student, starts = WindowStudent(pendulum_teacher(), [0, 2], spec), np.ones(6, bool)
    actions, state = student.predict(OBS, None, starts)
    other = OBS.copy()
    other[:, 1] += 9
    assert np.array_equal(student.predict(other, None, starts)[0], actions)
    later, _ = student.predict(OBS, state, ~starts)
    assert np.array_equal(later, actions) == spec.startswith("mlp")
    assert np.array_equal(student.predict(OBS, state, starts)[0], actions)


@pytest.mark.parametrize("spec", ["mlp:8", "gru:8"])
def test_learning_on_windows_comes_nearer_to_the_teacher(spec):
    teacher, errors = pendulum_teacher(), []
    for timesteps in (480, 9_600):
        student = distill_in_windows(teacher, "Pendulum-v1", [0, 1, 2], spec, timesteps, n_envs=4)
        means = teacher.family.mode(teacher.label(OBS[None], np.ones((1, 6), bool)).params[0])
        found, _ = student(student.features(OBS), None, torch.ones(6, dtype=torch.bool))
        errors.append(float((found.detach() - means).square().mean()))
    assert errors[1] < errors[0]
    assert evaluate(student, "Pendulum-v1", 2).n_episodes == 2


def test_what_cannot_learn_on_windows_is_refused():
    with pytest.raises(RequestError, match="found 'cnn:4'"):
        WindowStudent(pendulum_teacher(), [0], "cnn:4")


def test_a_row_is_the_mean_over_seeds():
    records = [
        {"student": "mlp:4", "method": method, "seed": seed, "retention": kept, "return": 10 * kept, "seconds": 1.0}
        for method, seed, kept in (("a", 0, 0.5), ("b", 0, 0.2), ("a", 1, 0.7))
    ]
    assert rows_of(records) == [
        ("mlp:4", "a", pytest.approx(0.6), "0.500, 0.700", pytest.approx(6.0), 1.0),
        ("mlp:4", "b", 0.2, "0.200", 2.0, 1.0),
    ]
