import numpy as np
import pytest

from policy_distill.config import DistillConfig
from policy_distill.training.schedule import FINAL_RATE, acts_by_mode, learning_rate, n_updates, seed_of

CONFIG = DistillConfig(timesteps=102_400)


def test_the_learning_rate_falls_from_its_start_to_its_end():
    rates = [learning_rate(CONFIG, progress) for progress in np.linspace(0, 1, 50)]
    assert rates[0] == CONFIG.learning_rate
    assert rates[-1] == pytest.approx(FINAL_RATE * CONFIG.learning_rate)
    assert all(np.diff(rates) < 0)


def test_gradient_steps_fall_and_make_the_promised_number_of_passes():
    steps = [n_updates(CONFIG, CONFIG.rollout_size, k / 100) for k in range(100)]
    assert steps[0] > 3 * steps[-1]
    assert sum(steps) * CONFIG.batch_size / CONFIG.timesteps == pytest.approx(CONFIG.n_epochs, rel=0.02)
    assert n_updates(CONFIG, 1, 1.0) == 1


def test_where_held_out_states_decide_gradient_steps_are_as_many_after_each_rollout():
    steps = {n_updates(CONFIG, CONFIG.rollout_size, k / 100, even=True) for k in range(100)}
    assert steps == {CONFIG.n_epochs * CONFIG.rollout_size // CONFIG.batch_size}


@pytest.mark.parametrize(
    ("acting", "expected"), [("sample", [False] * 4), ("mode", [True] * 4), ("alternate", [False, True] * 2)]
)
def test_a_student_acts_by_its_mode_as_often_as_the_setting_says(acting, expected):
    config = DistillConfig(acting=acting)
    assert [acts_by_mode(config, iteration, 0.0) for iteration in range(4)] == expected
    assert not any(acts_by_mode(config, iteration, 0.5) for iteration in range(4))


def test_each_purpose_in_each_iteration_has_a_seed_of_its_own():
    seeds = {seed_of(DistillConfig(seed=seed), k, purpose) for seed in (0, 1) for k in (0, 1) for purpose in ("a", "b")}
    assert len(seeds) == 8
