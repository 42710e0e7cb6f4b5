"""The geometric mean of what is kept in several tasks, with its interval."""

import numpy as np
import pytest

from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.records import RetentionRecord, VerdictRecord
from policy_distill.evaluation.proof.together import taken_together


def pairs(kept, n=64, noise=0.0, seed=0, scale=100.0):
    """Return returns of a student that keeps a share of a gain of `scale`."""
    rng = np.random.default_rng(seed)
    teacher, random = np.full(n, scale) + 7.0, np.full(n, 7.0)
    return PairedReturns(random + kept * scale + noise * scale * rng.normal(size=n), teacher, random, 0)


def judged(*outcomes):
    return [RetentionRecord(verdict=VerdictRecord(outcome=one)) for one in outcomes]


def test_it_is_the_geometric_mean_whatever_units_returns_have():
    found = taken_together([pairs(0.9), pairs(0.4, scale=1e-3)], judged("inferior", "inferior"))
    assert found.geometric_mean == pytest.approx(0.6)
    assert found.worst == pytest.approx(0.4)
    assert found.ci95 == pytest.approx([0.6, 0.6])


def test_a_task_that_is_lost_is_not_made_up_for():
    found = taken_together([pairs(1.5), pairs(-0.2)], judged("non-inferior", "inferior"))
    assert found.geometric_mean == 0.0
    assert found.worst == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        (("non-inferior", "non-inferior"), "non-inferior"),
        (("non-inferior", "undecided"), "undecided"),
        (("undecided", "inferior"), "inferior"),
        (("inferior", "undefined"), "undefined"),
        (("inferior", None), None),
    ],
)
def test_all_tasks_are_what_the_worst_of_them_is(outcomes, worst):
    assert taken_together([pairs(1.0), pairs(1.0)], judged(*outcomes)).outcome == worst


def test_where_a_teacher_gains_nothing_there_is_no_mean():
    found = taken_together([pairs(1.0), pairs(1.0, scale=0.0)], judged("non-inferior", "undefined"))
    assert found.geometric_mean is None and found.ci95 == [None, None]


def test_without_returns_of_every_task_there_is_nothing():
    assert taken_together([pairs(1.0)], judged("non-inferior", "non-inferior")) is None
    assert taken_together([], []) is None


def test_few_episodes_of_one_task_have_no_interval():
    assert taken_together([pairs(1.0, n=4), pairs(1.0)], judged("undecided", "undecided")).ci95 == [None, None]


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    # A binomial count of 200 at 95% lies outside 180 to 199 once in 500 times.
    inside = 0
    for seed in range(200):
        found = taken_together([pairs(0.9, 40, 0.3, 2 * seed), pairs(0.8, 40, 0.1, 2 * seed + 1)], judged(None, None))
        low, high = found.ci95
        inside += low <= np.sqrt(0.9 * 0.8) <= high
    assert 180 <= inside <= 199
