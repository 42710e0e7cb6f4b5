"""The promises of the proof, in simulations whose truth is known; a t test and a bootstrap break each of them."""

import math

import numpy as np
import pytest

from experiments.simulated_returns import AT_THE_MARGIN
from experiments.simulations import (
    certified,
    covered,
    error_rate,
    falls_missed,
    iqm_coverage,
    power,
    proof,
    selection_coverage,
)
from policy_distill.evaluation.proof.scale import normal_score
from policy_distill.evaluation.statistics import iqm

TRIALS = 120


def at_most(rate, trials):
    """Three standard errors above a rate."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize("case", AT_THE_MARGIN, ids=lambda case: case.name)
def test_a_student_at_the_margin_is_called_non_inferior_in_at_most_5_percent(case):
    rng = np.random.default_rng(0)
    for plan in ((10, None), (30, None), (100, None), (300, 20), (300, 100)):
        assert error_rate(case, plan, TRIALS, rng) <= at_most(0.05, TRIALS), plan


@pytest.mark.parametrize("case", AT_THE_MARGIN, ids=lambda case: case.name)
def test_the_quick_simulation_ends_as_the_proof_does(case):
    for seed in range(20):
        quick = certified(case, 120, 8, np.random.default_rng(seed))
        assert quick == (proof(case, 120, 8, np.random.default_rng(seed)).verdict.outcome == "non-inferior")


@pytest.mark.parametrize("case", AT_THE_MARGIN[:2], ids=lambda case: case.name)
def test_looking_after_every_second_episode_costs_nothing(case):
    assert error_rate(case, (300, 2), 600, np.random.default_rng(1)) <= at_most(0.05, 600)


def test_a_t_test_would_have_broken_the_promise():
    case, rng = AT_THE_MARGIN[0], np.random.default_rng(2)
    wrong = 0
    for _ in range(TRIALS):
        student, teacher, random = case.draw(rng, 30)
        wrong += normal_score(student - 0.95 * teacher - 0.05 * random) > 1.645
    assert wrong / TRIALS > 0.15


@pytest.mark.parametrize("case", AT_THE_MARGIN, ids=lambda case: case.name)
def test_every_bound_covers_the_truth_where_a_proof_stops(case):
    shares = covered(case, TRIALS, np.random.default_rng(3))
    assert min(shares) >= 1 - at_most(0.05, TRIALS)


@pytest.mark.parametrize("plan", [(300, 32), (1000, 100)])
@pytest.mark.parametrize("rate", [0.02, 0.035, 0.04, 0.08])
def test_the_bound_on_falls_holds_although_a_proof_without_falls_stops_first(rate, plan):
    assert falls_missed(rate, 300, np.random.default_rng(4), plan)["shown"] <= at_most(0.05, 300)


def test_a_bound_for_a_fixed_number_of_episodes_would_not_have_held_where_a_proof_stops():
    missed = falls_missed(0.035, 400, np.random.default_rng(7), (1000, 100))
    assert missed["fixed"] > at_most(0.05, 400)
    assert missed["shown"] <= at_most(0.05, 400)


@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("case", AT_THE_MARGIN[2:], ids=lambda case: case.name)
def test_the_interval_of_an_iqm_covers_it(case, n):
    rng = np.random.default_rng(5)
    truth = float(iqm(case.draw(rng, 400_000)[0]))
    assert iqm_coverage(case, n, truth, TRIALS, rng) >= 1 - at_most(0.07, TRIALS)


def test_the_best_of_twenty_equal_students_is_not_overrated_by_a_fresh_proof():
    _, fresh = selection_coverage(TRIALS, np.random.default_rng(6))
    assert fresh <= at_most(0.05, TRIALS // 4)


def test_a_student_that_equals_its_teacher_is_certified_within_the_usual_cap():
    rows = power(160, np.random.default_rng(8))
    found = {(floor, spread): (share, int(median)) for floor, spread, share, median, _ in rows}
    # Looked at after every eighth episode; without spread nothing is left to chance.
    assert [found[floor, "0.0"] for floor in ("1.1", "2.0", "3.3")] == [("100%", 80), ("100%", 136), ("100%", 224)]
    assert found["1.1", "0.1"][0] == found["2.0", "0.1"][0] == "100%"
    assert found["1.1", "0.1"][1] < 120
