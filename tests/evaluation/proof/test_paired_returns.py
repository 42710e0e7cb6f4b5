import math

import numpy as np
import pytest

from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.records import EvaluationRecord


def test_what_is_kept_is_the_share_of_the_gain():
    returns = PairedReturns(np.array([60.0, 80.0]), np.array([100.0, 120.0]), np.array([10.0, 30.0]), 0)
    assert returns.gain == 90.0
    assert returns.kept == pytest.approx(50 / 90)
    # 20 a return on both sides of the mean: the differences from it, in gains.
    assert returns.losses(returns.kept) == pytest.approx([0.0, 0.0])
    assert returns.losses(1.0) == pytest.approx([-40 / 90, -40 / 90])


def test_rare_falls_are_in_the_mean_and_not_in_the_iqm():
    student = np.full(100, 10.0)
    student[:10] = 0.0
    returns = PairedReturns(student, np.full(100, 10.0), np.zeros(100), 0)
    assert (returns.kept, returns.iqm_kept) == (pytest.approx(0.9), 1.0)
    assert math.isnan(PairedReturns(student, student, student, 0).iqm_kept)


def test_the_gains_score_says_how_clear_it_is():
    gains = np.array([1.0, 2.0, 3.0, 6.0])
    returns = PairedReturns(gains, gains + 5, np.full(4, 5.0), 0)
    # Student's t is 2.777 with 3 degrees of freedom: 3.5% lie above, as above 1.818 of a normal distribution.
    assert returns.gain_score == pytest.approx(1.818, abs=0.002)
    # No spread tells everything of a gain, rounding is none, and one episode tells nothing.
    assert PairedReturns(gains, np.full(4, 6.0), np.full(4, 5.0), 0).gain_score == math.inf
    assert PairedReturns(gains, np.full(4, 4.0), np.full(4, 5.0), 0).gain_score == -math.inf
    assert PairedReturns(gains, np.full(4, 0.1 + 0.2), np.full(4, 0.3), 0).gain_score == 0.0
    assert math.isnan(PairedReturns(*np.array([[5.0], [5.0], [1.0]]), first_seed=0).gain_score)


def test_a_record_gives_its_episodes():
    record = {"seed": 7, "episodes": {"teacher": [3.0, 4.0], "student": [1, 2], "random": [0, 0.5]}}
    found = EvaluationRecord.from_json(record).paired_returns()
    assert (found.student.tolist(), found.teacher.tolist(), found.random.tolist()) == ([1, 2], [3, 4], [0, 0.5])
    assert found.first_seed == 7


@pytest.mark.parametrize(
    "episodes",
    [None, {}, {"teacher": [1.0], "student": [1.0]}, {"teacher": [1.0, 2.0], "student": [1.0], "random": [0.0]}],
)
def test_a_record_without_paired_episodes_gives_none(episodes):
    assert EvaluationRecord.from_json({"seed": 0, "episodes": episodes}).paired_returns() is None


def test_episodes_that_environments_began_by_themselves_are_no_pairs():
    record = {"seed": 0, "episodes": {name: [1.0, 2.0] for name in ("teacher", "student", "random")}}
    assert EvaluationRecord.from_json({**record, "paired": False}).paired_returns() is None
    assert EvaluationRecord.from_json({**record, "paired": True}).paired_returns() is not None


def test_returns_that_are_not_paired_or_not_finite_are_refused():
    ten = np.ones(10)
    with pytest.raises(ValueError, match="paired returns"):
        PairedReturns(ten, ten[:9], ten, 0)
    with pytest.raises(ValueError, match="paired returns"):
        PairedReturns(*[np.zeros(0)] * 3, first_seed=0)
    with pytest.raises(ValueError, match="finite"):
        PairedReturns(ten, ten * math.nan, ten, 0)
