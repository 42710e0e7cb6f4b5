import numpy as np
import pytest

from policy_distill.evaluation.episodes import Evaluation
from policy_distill.evaluation.mode_and_sample import ModeAndSample, mean_at_least, mode_and_sample
from policy_distill.evaluation.policy_records import SampledRecord
from policy_distill.system.records import dump, load

N_SIMULATED = 2000


def evaluation(returns):
    returns = np.asarray(returns, dtype=np.float64)
    return Evaluation("Test-v0", 7, returns, np.ones(len(returns), np.int64), 1.5)


def differences(kind, n, rng):
    """Return differences of mean 0 in gains `[N_SIMULATED, n]`, which are at least -1.1."""
    shape = (N_SIMULATED, n)
    if kind == "a little better, with rare falls":
        return np.where(rng.random(shape) < 0.05, -0.95, 0.05)
    if kind == "a little better, with very rare falls":
        return np.where(rng.random(shape) < 0.01, -1.089, 0.011)
    if kind == "falls of both":
        return (rng.random(shape) < 0.05) * 1.0 - (rng.random(shape) < 0.05) * 1.0
    if kind == "scatter":
        return np.clip(rng.normal(0, 0.3, shape), -1.1, 1.1)
    return rng.uniform(-1, 1, shape)


KINDS = (
    "a little better, with rare falls",
    "a little better, with very rare falls",
    "falls of both",
    "scatter",
    "uniform",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [10, 100])
def test_an_equal_teacher_is_called_better_by_sampling_in_at_most_five_percent(kind, n):
    drawn = differences(kind, n, np.random.default_rng(0))
    wrong = np.mean([mean_at_least(x, 1.1) > 0 for x in drawn[:600]])
    assert wrong <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


def test_the_bound_covers_a_difference_that_is_not_zero():
    rng = np.random.default_rng(1)
    shifts = (-0.4, 0.2)
    for shift in shifts:
        drawn = differences("scatter", 60, rng)[:600] + shift
        # The floor is that of what is drawn.
        covered = np.mean([mean_at_least(x, 1.1 - shift) <= shift for x in drawn])
        assert covered >= 0.95 - 3 * (0.05 * 0.95 / 600) ** 0.5


def test_a_teacher_that_falls_by_its_mode_alone_is_found():
    """As a walker whose mode falls in a fifth of its episodes: better by sampling in a hundred, hardly ever missed."""
    rng = np.random.default_rng(2)
    found = [mean_at_least((rng.random(100) < 0.2) + rng.normal(0, 0.05, 100).clip(-0.2, 0.2), 1.1) for _ in range(200)]
    assert np.mean(np.array(found) > 0) > 0.97
    assert np.median(found) > 0.05


def test_what_cannot_be_bounded_is_said_to_be():
    for x, stake in (
        (np.ones(50), 0.0),
        (np.ones(50), float("nan")),
        (np.array([*np.ones(50), -2.0]), 1.0),
        (np.zeros(0), 1.0),
    ):
        assert mean_at_least(x, stake) == -np.inf


def test_the_record_has_returns_cost_and_difference():
    mode, sampled = evaluation([*[1.0] * 80, *[0.0] * 20, 5.0]), evaluation(np.full(100, 1.0))
    found = mode_and_sample(mode, sampled, 1.1)
    assert found.is_better
    record = found.record()
    values = dump(record)
    assert (values["mean"], values["std"], values["n_episodes"], values["env_steps"]) == (1.0, 0.0, 100, 100)
    assert values["difference"]["mean"] == pytest.approx(0.2)
    assert 0 < values["difference"]["low"] < 0.2
    assert values["difference"]["better"] is True
    assert all(
        part in record.warning()
        for part in ("better by sampling", "1.000, +0.2000", "in 100 episodes", "100 steps", "--stochastic")
    )


def test_nothing_is_warned_of_where_sampling_is_no_better():
    for found in (
        mode_and_sample(evaluation(np.ones(50)), evaluation(np.ones(50)), 1.0),
        mode_and_sample(evaluation(np.ones(50)), evaluation(np.zeros(50)), 1.1),
        ModeAndSample(evaluation([1.0]), 1, 1.0, np.inf, -np.inf),
    ):
        record = found.record()
        assert record.warning() == ""
        assert "against its mode" in record.text()
    assert dump(record)["difference"]["low"] is None
    for nothing in ({}, {"mean": 1.0, "difference": None}):
        record = load(SampledRecord, nothing, "teacher_sampled")
        assert record.warning() == record.text() == ""


def test_what_sampling_is_worth_shows_where_returns_are_small():
    one = {"mean": 0.955, "n_episodes": 40, "difference": {"mean": 0.0214, "low": 0.0031, "better": True}}
    assert load(SampledRecord, one, "teacher_sampled").text() == (
        "0.9550, +0.02140 against its mode in 40 episodes, at least +0.003100 with 95%"
    )


@pytest.mark.parametrize(
    ("sampled", "clear"),
    [
        (np.ones(32), True),
        (np.ones(32) - 0.5, True),
        (np.ones(32) + 0.5, True),
        (1.0 + np.resize([0.4, -0.4], 32), False),
        (np.append(np.ones(31), 3.0), False),
    ],
    ids=["equal", "worse", "better", "noisy", "once far better"],
)
def test_a_teacher_is_sampled_until_it_is_clear_whether_that_is_better_by_what_matters(sampled, clear):
    assert mode_and_sample(evaluation(np.ones(32)), evaluation(sampled), 1.0).is_clear(0.05) is clear
