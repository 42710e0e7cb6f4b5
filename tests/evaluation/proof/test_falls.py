import numpy as np
import pytest
from scipy import stats

from policy_distill.evaluation.proof.falls import ALPHA, Falls, count_falls, rate_high_at_any_stop


def test_none_of_a_hundred_is_said_with_what_it_rules_out():
    assert str(Falls(0, 100)) == "0 of 100 episodes lost more than half of the gain; fewer than 3.0% do (95%)"


@pytest.mark.parametrize(("n", "n_episodes"), [(0, 10), (3, 100), (17, 100), (9, 10)])
def test_the_bound_is_that_of_clopper_and_pearson(n, n_episodes):
    high = Falls(n, n_episodes).rate_high
    assert stats.binom.cdf(n, n_episodes, high) == pytest.approx(0.05)
    assert high == pytest.approx(stats.binomtest(n, n_episodes, alternative="less").proportion_ci(0.95, "exact").high)


def test_where_all_episodes_fall_nothing_is_ruled_out():
    assert Falls(4, 4).rate_high == 1.0


def test_a_fall_is_a_return_below_the_line():
    found = count_falls(np.array([500.0, 250.0, 249.0, 20.0]), 250.0)
    assert (found.n, found.n_episodes, found.rate) == (2, 4, 0.5)


def test_where_a_proof_may_stop_by_itself_the_bound_allows_for_it():
    fixed, stopped = Falls(0, 96), Falls(0, 96, may_stop=True)
    # A fifth of the capital is bet on rare falls: what that costs at most where none is seen.
    assert fixed.rate_high < stopped.rate_high < 1 - (0.8 * ALPHA) ** (1 / 96)
    assert Falls(9, 10, may_stop=True).rate_high > Falls(9, 10).rate_high
    assert Falls(4, 4, may_stop=True).rate_high == 1.0


def test_a_bound_at_any_stop_is_crossed_by_the_true_rate_in_at_most_5_percent_of_all_paths():
    # Exactly, over all paths of 60 episodes, with a look after each.
    rate, alive = 0.1, {0: 1.0}
    for n in range(1, 61):
        after = {}
        for k, chance in alive.items():
            after[k] = after.get(k, 0.0) + chance * (1 - rate)
            after[k + 1] = after.get(k + 1, 0.0) + chance * rate
        alive = {k: chance for k, chance in after.items() if rate_high_at_any_stop(k, n) >= rate}
    assert 0.5 * ALPHA < 1 - sum(alive.values()) <= ALPHA
