import math

import numpy as np
import pytest
from scipy import stats

from policy_distill.errors import RequestError
from policy_distill.verdict import judge, normal_score, spending_boundaries

LOOKS = tuple(range(50, 501, 50))
N_TRIALS = 2000


def returns(rng, student_gain, n, *, skewed=False):
    """Paired returns: luck shared by the seed, a random policy about 0, a teacher about 100, a student of its own."""
    luck = rng.normal(0, 20, n)
    teacher, random = 100 + luck + rng.normal(0, 10, n), rng.normal(0, 5, n)
    own = 15 * (1 - rng.exponential(1.0, n)) if skewed else rng.normal(0, 15, n)
    return student_gain + luck + own, teacher, random


def sequential(rng, student_gain, *, boundaries, skewed=False):
    student, teacher, random = returns(rng, student_gain, LOOKS[-1], skewed=skewed)
    for look, (n, boundary) in enumerate(zip(LOOKS, boundaries, strict=True), start=1):
        verdict = judge(student[:n], teacher[:n], random[:n], 0.05, boundary=boundary, n_looks=look)
        if verdict.outcome in ("non-inferior", "inferior"):
            break
    return verdict


def share(outcome, gain, boundaries, seed, *, skewed=False):
    rng = np.random.default_rng(seed)
    found = [sequential(rng, gain, boundaries=boundaries, skewed=skewed) for _ in range(N_TRIALS)]
    return np.mean([verdict.outcome == outcome for verdict in found]), found


# Three standard errors of a share of 5% in 2000 trials.
SLACK = 3 * math.sqrt(0.05 * 0.95 / N_TRIALS)


def test_at_the_margin_the_error_rate_is_the_promised_one_after_many_looks():
    wrong, _ = share("non-inferior", 95.0, spending_boundaries(LOOKS), 0)
    assert 0.05 - SLACK - 0.01 < wrong < 0.05 + SLACK


def test_looking_without_a_correction_would_break_the_promise():
    wrong, _ = share("non-inferior", 95.0, (1.645,) * len(LOOKS), 0)
    assert wrong > 0.10


def test_at_the_margin_the_error_rate_holds_with_skewed_returns_too():
    # A long tail of bad episodes: the t statistic is then not exact; at 50 episodes a percent is what it costs.
    wrong, _ = share("non-inferior", 95.0, spending_boundaries(LOOKS), 1, skewed=True)
    assert wrong < 0.05 + SLACK + 0.01


def test_equal_policies_are_hardly_ever_called_inferior_and_mostly_found_equal_before_the_cap():
    wrong, found = share("inferior", 100.0, spending_boundaries(LOOKS), 2)
    assert wrong < 0.005
    assert np.mean([verdict.outcome == "non-inferior" for verdict in found]) > 0.95
    assert np.mean([verdict.n_episodes for verdict in found]) < LOOKS[-1] / 2


def test_a_student_that_loses_twice_the_margin_is_called_inferior():
    right, _ = share("inferior", 90.0, spending_boundaries(LOOKS), 3)
    assert right > 0.95


def test_a_single_look_errs_as_often_as_it_says():
    rng = np.random.default_rng(4)
    wrong = np.mean([judge(*returns(rng, 95.0, 100)).outcome == "non-inferior" for _ in range(N_TRIALS)])
    assert abs(wrong - 0.05) < SLACK


def test_one_look_has_the_normal_boundary_and_two_agree_with_the_bivariate_normal():
    assert spending_boundaries((100,)) == pytest.approx((stats.norm.isf(0.05),))
    first, second = spending_boundaries((50, 100))
    assert stats.norm.sf(first) == pytest.approx(0.05 * math.log(1 + (math.e - 1) / 2))
    both = stats.multivariate_normal([0, 0], [[1, math.sqrt(0.5)], [math.sqrt(0.5), 1]])
    assert 1 - both.cdf([first, second]) == pytest.approx(0.05, abs=2e-4)


def test_boundaries_agree_with_simulated_paths():
    boundaries = np.array(spending_boundaries(LOOKS))
    steps = np.random.default_rng(5).normal(size=(200_000, len(LOOKS))).cumsum(axis=1)
    crossed = (steps / np.sqrt(np.arange(1, len(LOOKS) + 1)) > boundaries).any(axis=1)
    assert crossed.mean() == pytest.approx(0.05, abs=0.002)


def test_a_rare_fall_that_the_iqm_does_not_see_decides_the_verdict():
    rng = np.random.default_rng(6)
    teacher, random = rng.normal(100, 1, 400), rng.normal(0, 1, 400)
    student = teacher.copy()
    student[::8] = -100.0
    assert judge(student, teacher, random).outcome == "inferior"
    assert judge(teacher, teacher, random).outcome == "non-inferior"


def test_the_margin_moves_the_verdict():
    rng = np.random.default_rng(7)
    student, teacher, random = returns(rng, 90.0, 400)
    assert judge(student, teacher, random, 0.05).outcome == "inferior"
    assert judge(student, teacher, random, 0.2).outcome == "non-inferior"


def test_without_a_gain_over_random_there_is_no_verdict():
    rng = np.random.default_rng(8)
    same, other = rng.normal(0, 1, 100), rng.normal(0, 1, 100)
    assert judge(same, same, other).outcome == "undefined"
    assert judge(np.zeros(1), np.ones(1), np.zeros(1)).to_json()["p_value"] is None


def test_returns_without_spread_are_judged_by_their_sign():
    full, none = np.full(20, 500.0), np.zeros(20)
    assert judge(full, full, none).outcome == "non-inferior"
    assert judge(np.full(20, 400.0), full, none).outcome == "inferior"


def test_the_score_has_the_tail_of_the_t_statistic():
    x = np.random.default_rng(9).normal(0.3, 1, 12)
    assert stats.norm.sf(normal_score(x)) == pytest.approx(stats.ttest_1samp(x, 0, alternative="greater").pvalue)
    assert normal_score(-x) == pytest.approx(-normal_score(x))


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_that_is_no_share_is_refused(margin):
    with pytest.raises(RequestError, match="between 0 and 1"):
        judge(np.zeros(3), np.ones(3), np.zeros(3), margin)
