import math

import numpy as np
import pytest
from scipy import stats

from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.kept import retention
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.scale import Scale, check_worst_loss, normal_score
from policy_distill.evaluation.proof.verdict import episodes_for_equal, judge

FULL, NONE = np.full(100, 500.0), np.full(100, 20.0)


def test_the_floor_is_a_tenth_below_the_worst_random_episode():
    random = np.array([20.0] * 19 + [-30.0])
    scale = Scale(np.full(20, 500.0), random)
    assert scale.stake == pytest.approx(1.1 * 530)
    assert scale.floor == pytest.approx(1.1 * 530 / (500 - random.mean()))
    assert Scale(np.full(20, 500.0), random, 2.0).floor == pytest.approx(2.0)


def test_a_fall_is_what_loses_more_than_half_of_the_gain():
    assert Scale(FULL, NONE).fall_line == pytest.approx(260.0)


def test_two_episodes_without_a_fall_prove_nothing():
    assert judge(FULL[:2], FULL[:2], NONE[:2]).outcome == "undecided"
    assert judge(FULL[:74], FULL[:74], NONE[:74]).outcome == "undecided"
    assert judge(FULL[:75], FULL[:75], NONE[:75]).outcome == "non-inferior"


def test_a_lower_floor_needs_more_episodes():
    scales = [Scale(FULL, NONE, worst_loss) for worst_loss in (1.1, 2.0, 3.3)]
    needed = [episodes_for_equal(scale) for scale in scales]
    assert needed == [75, 135, 221]
    assert judge(FULL, FULL, NONE, scale=scales[1]).outcome == "undecided"


def test_rare_falls_that_the_iqm_does_not_see_decide_the_verdict():
    rng = np.random.default_rng(6)
    teacher, random = rng.normal(100, 1, 400), rng.normal(0, 1, 400)
    student = teacher.copy()
    student[::4] = 0.0
    assert judge(student, teacher, random).outcome == "inferior"
    assert judge(teacher, teacher, random).outcome == "non-inferior"


def test_an_episode_beyond_the_floor_leaves_the_verdict_undecided_and_is_named():
    student = FULL.copy()
    student[17] = -400.0
    verdict = judge(student, FULL, NONE)
    assert verdict.outcome == "undecided"
    assert verdict.beyond.episode == 17
    assert verdict.beyond.loss == pytest.approx((0.95 * 500 + 0.05 * 20 + 400) / 480)
    assert judge(student, FULL, NONE, scale=Scale(FULL, NONE, 2.0)).beyond is None


def test_an_episode_that_wins_more_than_the_floor_never_makes_a_student_inferior():
    student = np.full(100, 100.0)
    assert judge(student, FULL, NONE).outcome == "inferior"
    student[3] = 2000.0
    assert judge(student, FULL, NONE).outcome == "undecided"


def test_the_margin_moves_the_verdict_and_is_said_in_units_of_the_return():
    student = np.full(100, 450.0)
    assert judge(student, FULL, NONE, 0.05).outcome != "non-inferior"
    verdict = judge(student, FULL, NONE, 0.2)
    assert verdict.outcome == "non-inferior"
    assert verdict.margin_return == pytest.approx(0.2 * 480)


def test_without_a_clear_gain_over_random_there_is_no_verdict():
    rng = np.random.default_rng(8)
    same, other = rng.normal(0, 1, 100), rng.normal(0, 1, 100)
    assert judge(same, same, other).outcome == "undefined"
    assert judge(same, FULL * 0, FULL * 0).outcome == "undefined"
    assert judge(NONE, NONE, FULL).outcome == "undefined", "a teacher that is worse than random"


def test_a_gain_that_is_rounding_is_undefined_in_the_verdict_as_in_the_mean():
    kept = retention(FULL + 1e17, FULL + 1e17, FULL + 1e17 - 480)
    assert (np.isnan(kept.mean), kept.verdict.outcome) == (True, "undefined")


def test_the_p_value_is_one_over_the_capital():
    verdict = judge(FULL, FULL, NONE)
    assert verdict.outcome == "non-inferior"
    assert 0 < verdict.p_value <= 0.05
    assert judge(NONE, FULL, NONE).p_value == 1.0


def test_a_verdict_says_in_json_what_it_rests_on():
    record = judge(FULL, FULL, NONE).to_json()
    assert {"outcome", "margin", "alpha", "floor", "n_episodes", "margin_return", "declared", "beyond"} <= set(record)
    assert record["floor"] == pytest.approx(1.1)
    assert judge(NONE, NONE, FULL).to_json()["floor"] is None


def test_the_score_has_the_tail_of_the_t_statistic():
    x = np.random.default_rng(9).normal(0.3, 1, 12)
    assert stats.norm.sf(normal_score(x)) == pytest.approx(stats.ttest_1samp(x, 0, alternative="greater").pvalue)
    assert normal_score(-x) == pytest.approx(-normal_score(x))


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_that_is_no_share_is_refused(margin):
    with pytest.raises(RequestError, match="between 0 and 1"):
        judge(np.zeros(3), np.ones(3), np.zeros(3), margin)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_floor_that_is_no_positive_number_is_refused(value):
    with pytest.raises(RequestError, match="--worst-loss above 0"):
        check_worst_loss(value)


def test_a_floor_that_assumes_what_is_to_be_proven_is_refused():
    with pytest.raises(RequestError, match=r"above the margin of 0\.05, found 0\.05"):
        ProofPlan(100, 0, worst_loss=0.05)
    assert ProofPlan(100, 0, worst_loss=0.06).worst_loss == 0.06
