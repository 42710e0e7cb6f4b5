import json

import numpy as np
import pytest
import torch

from experiments import objectives
from experiments.benchmarks.values import returns_of
from experiments.noisy_teacher import NoisyTeacher
from experiments.objectives import SECTION, Config, main, mean_and_interval
from tests.doubles import cartpole_teacher, pendulum_teacher


def test_a_noisy_teacher_says_the_mixture_of_one_choice():
    teacher, obs = cartpole_teacher(), np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    starts = np.zeros((5, 3), bool)
    own = teacher.label(obs, starts).params.softmax(dim=-1)
    found = NoisyTeacher(teacher, 0.25, 0).label(obs, starts).params.softmax(dim=-1)
    torch.testing.assert_close(found, 0.75 * own + 0.25 / 2)


def test_a_noisy_teacher_of_a_gaussian_says_a_random_mean_in_so_many_states():
    teacher, obs = pendulum_teacher(), np.random.default_rng(0).normal(size=(500, 8, 3)).astype(np.float32)
    starts = np.zeros((500, 8), bool)
    own, found = (one.label(obs, starts).params for one in (teacher, NoisyTeacher(teacher, 0.25, 0)))
    other = (own != found)[..., 0]
    assert float(other.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(own[..., 1], found[..., 1])
    drawn = found[..., 0][other]
    assert float(drawn.min()) >= -2 and float(drawn.max()) <= 2 and abs(float(drawn.mean())) < 0.1
    actions, _ = NoisyTeacher(teacher, 0.25, 0).predict(obs.reshape(-1, 3), deterministic=True)
    plain, _ = teacher.predict(obs.reshape(-1, 3), deterministic=True)
    assert (actions != plain).mean() == pytest.approx(0.25, abs=0.03)


def test_the_interval_over_training_seeds_is_students():
    mean, low, high = mean_and_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - 2.776 * 0.7071, 3.0 + 2.776 * 0.7071), abs=1e-3)


def test_what_a_limit_cuts_is_not_a_known_return():
    rewards, terminated, truncated = np.ones((6, 1)), np.zeros((6, 1), bool), np.zeros((6, 1), bool)
    terminated[2], truncated[4] = True, True
    found, known = returns_of(rewards, terminated, truncated, 0.5)
    assert found[:, 0].tolist() == [1.75, 1.5, 1.0, 1.5, 1.0, 1.0]
    assert known[:, 0].tolist() == [True, True, True, False, False, False]


def test_the_experiment_ends_in_a_section_and_what_is_done_is_left_alone(zoo, tmp_path, monkeypatch, capsys):
    arms = {name: objectives.ARMS[name] for name in ("kl", "teacher_value, gate")}
    monkeypatch.setattr(objectives, "ARMS", arms)
    monkeypatch.setattr(objectives, "TASKS", {"lunar_lander": (("linear",), 512)})
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n\n## Trees\n\nOld.\n")
    config = Config(zoo, ("lunar_lander",), (0, 1), episodes=2, out=tmp_path / "runs", results=page)
    main(config)
    text = page.read_text()
    assert text.startswith("# Results\n\n## Trees\n\nOld.\n") and SECTION in text
    assert sum(line.startswith("| LunarLander-v3 | linear |") for line in text.splitlines()) == 2
    records = json.loads((tmp_path / "runs" / "objectives.json").read_text())
    assert [(one["arm"], one["seed"]) for one in records] == [(arm, seed) for seed in (0, 1) for arm in arms]
    monkeypatch.setattr(objectives, "distill", None)
    main(config)
    assert page.read_text() == text
    assert "LunarLander-v3" in capsys.readouterr().out
