import math

import numpy as np
import pytest

from policy_distill.evaluation.proof.kept import retention
from policy_distill.evaluation.statistics import LEAST, interval, iqm, worst


def test_iqm_is_the_mean_of_the_middle_half():
    # Sorted: 0 1 2 3 4 5 6 100; a quarter is cut from each end, 2 3 4 5 are left.
    assert iqm(np.array([100.0, 0, 1, 2, 3, 4, 5, 6])) == pytest.approx(3.5)


def test_retention_is_one_for_the_teacher_itself_and_zero_for_the_random_policy():
    rng = np.random.default_rng(0)
    teacher, random = rng.normal(100, 10, 50), rng.normal(0, 10, 50)
    assert retention(teacher, teacher, random).iqm == 1.0
    assert retention(teacher, teacher, random).ci95 == (1.0, 1.0)
    assert retention(random, teacher, random).iqm == 0.0


def test_retention_of_constant_returns_is_the_ratio_of_gains():
    kept = retention(np.full(20, 75.0), np.full(20, 110.0), np.full(20, 10.0))
    assert kept.iqm == pytest.approx(0.65)
    assert kept.mean == pytest.approx(0.65)
    assert kept.ci95 == pytest.approx((0.65, 0.65))


def test_retention_is_undefined_where_the_teacher_gains_nothing():
    kept = retention(np.full(20, 5.0), np.full(20, 5.0), np.full(20, 5.0))
    assert math.isnan(kept.iqm)
    assert kept.to_json()["ci95"] == [None, None]


def test_rare_falls_show_in_the_mean_and_not_in_the_iqm():
    teacher, random = np.full(100, 100.0), np.zeros(100)
    student = teacher.copy()
    student[:10] = 0.0
    kept = retention(student, teacher, random)
    assert kept.iqm == 1.0
    assert kept.mean == pytest.approx(0.9)


def test_pairing_narrows_the_interval_where_seeds_explain_the_spread():
    rng = np.random.default_rng(1)
    luck = rng.normal(0, 50, 100)
    teacher, student, random = 200 + luck, 200 + luck + rng.normal(0, 1, 100), np.zeros(100)
    paired = retention(student, teacher, random)
    shuffled = retention(rng.permutation(student), teacher, random)
    assert paired.ci95[1] - paired.ci95[0] < 0.2 * (shuffled.ci95[1] - shuffled.ci95[0])


def test_the_interval_covers_the_true_value_about_as_often_as_it_says():
    # 200 samples of 40 normal returns; a 95% interval missed in far more than 5% would be a lie. 3 standard errors of
    # 0.95 at 200 trials are 0.046, and percentile intervals of a trimmed mean at n = 40 undercover by a little.
    rng = np.random.default_rng(2)
    hits = sum(low <= 10.0 <= high for low, high in (interval(rng.normal(10, 3, 40)) for _ in range(200)))
    assert 0.88 <= hits / 200 <= 1.0


def test_the_same_seed_gives_the_same_interval():
    returns = np.random.default_rng(3).normal(size=30)
    assert interval(returns, seed=1) == interval(returns, seed=1)
    assert interval(returns, seed=1) != interval(returns, seed=2)


def test_unpaired_returns_are_refused():
    with pytest.raises(ValueError, match="paired"):
        retention(np.zeros(3), np.zeros(4), np.zeros(3))


def test_the_verdict_is_undefined_where_chance_alone_tells_teacher_and_random_apart():
    rng = np.random.default_rng(4)
    teacher, random = rng.normal(0.1, 5, 40), rng.normal(0, 5, 40)
    student = rng.normal(3, 5, 40)
    kept = retention(student, teacher, random)
    assert kept.verdict.outcome == "undefined"
    # Here random even scores above the teacher: a ratio would turn its sign, and praise the worse student.
    assert random.mean() > teacher.mean()
    assert np.isnan([kept.mean, kept.mean_low, *kept.mean_ci95]).all()
    kept = retention(student, teacher + 2, random)
    assert kept.verdict.outcome == "undefined"
    # The definition holds where it can be divided, but there is no bound to claim.
    assert kept.mean == pytest.approx((student.mean() - random.mean()) / (teacher.mean() + 2 - random.mean()))
    assert math.isnan(kept.mean_low)


def test_a_retention_prints_what_is_read_first():
    kept = retention(np.full(20, 75.0), np.full(20, 110.0), np.full(20, 10.0))
    said = "Retention(iqm=0.650, ci95=(0.650, 0.650), mean=0.650, mean_low=0.452, verdict=inferior, "
    assert str(kept) == said + "falls=0, n_episodes=20)"


def test_the_worst_episodes_show_a_student_that_falls_once_in_a_hundred():
    returns = np.full(100, 100.0)
    returns[37] = 0.0
    assert iqm(returns) == 100.0
    assert worst(returns) == 80.0
    assert worst(np.array([3.0, 1.0, 2.0])) == 1.0


def test_so_few_returns_that_a_bootstrap_misses_have_no_interval():
    rng = np.random.default_rng(0)
    assert np.isnan(interval(rng.normal(size=LEAST - 1))).all()
    covered = []
    for trial in range(200):
        low, high = interval(-rng.exponential(size=LEAST), trial)
        # The IQM of an exponential: the mean between its quartiles.
        covered.append(low <= -0.738 <= high)
    assert np.mean(covered) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)
