import numpy as np
import pytest
from scipy import stats

from policy_distill.falls import Falls, count_falls


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
