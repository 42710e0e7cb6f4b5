import json
import math
import subprocess
import sys

import numpy as np
import pytest

from experiments.seed_simulations import (
    FALLS,
    TRUTH,
    WORLDS,
    coverage_rows,
    group,
    runs_drawn_anew,
    share_covered,
    simulated,
    world,
)
from policy_distill.evaluation.proof.training_seeds import SeedGroup, across_seeds


def least(n):
    """Return 93%, less three standard errors of a share of `n` trials."""
    return 0.93 - 3 * math.sqrt(0.93 * 0.07 / n)


@pytest.mark.parametrize("settings", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize(("n_envs", "n_seeds", "n_trials"), [(1, 3, 500), (1, 5, 500), (9, 3, 150)])
def test_an_interval_covers_the_true_value_as_often_as_it_says(n_envs, n_seeds, n_trials, settings):
    found = [across_seeds(groups) for groups in simulated(n_envs, n_seeds, n_trials, **settings)]
    covered, n = share_covered(found)
    assert n > 0.5 * n_trials
    assert covered >= least(n)


@pytest.mark.parametrize("settings", FALLS.values(), ids=FALLS)
@pytest.mark.parametrize(("n_envs", "n_seeds", "n_trials"), [(1, 3, 500), (1, 5, 500), (9, 3, 150)])
@pytest.mark.parametrize("n_episodes", [30, 100])
def test_rare_falls_are_covered_or_no_interval_is_claimed(n_envs, n_seeds, n_trials, n_episodes, settings):
    found = [across_seeds(groups) for groups in simulated(n_envs, n_seeds, n_trials // 2, n_episodes, **settings)]
    covered, n = share_covered(found)
    assert n == 0 or covered >= least(n)
    if n_envs == 9 and n_episodes == 100:
        assert n > 0.9 * len(found), "900 episodes are enough for an interval"


@pytest.mark.parametrize(("n_envs", "n_seeds", "most"), [(1, 3, 0.85), (1, 5, 0.9), (9, 3, 0.9)])
def test_drawing_the_runs_anew_would_not_have_covered(n_envs, n_seeds, most):
    # What all seeds share does not vary between them. The margins are above what 300 and 100 trials leave open.
    rng = np.random.default_rng(1)
    trials = simulated(n_envs, n_seeds, 100 if n_envs > 1 else 300, **WORLDS["both parts count"])
    bounds = [runs_drawn_anew(groups, rng) for groups in trials]
    assert np.mean([low <= TRUTH <= high for low, high in bounds]) < most


def test_blocks_of_episodes_that_no_other_seed_saw_are_part_of_the_spread_between_seeds():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(500):
        parts = [
            group(world(rng, 1, 100, seed=0.02, luck=0.1, student=0.2, teacher=0.2), first_seeds=[s])
            for s in (0, 100, 200)
        ]
        found.append(across_seeds([SeedGroup("Lander-v3", tuple(part.runs[0] for part in parts))]))
    covered, n = share_covered(found)
    assert covered >= least(n)
    # Nothing is shared: the interval is Student's, of three runs.
    kept = np.array([part.runs[0].kept for part in parts])
    assert found[-1].high - found[-1].mean == pytest.approx(4.302653 * kept.std(ddof=1) / math.sqrt(3))


def stopped(run, looks=range(32, 321, 32)):
    """Return a proof that ends at the first look which sees the margin clearly kept or clearly lost."""
    for n in looks:
        seen = run.first(n)
        beyond_margin = seen.student - 0.95 * seen.teacher - 0.05 * seen.random
        if abs(beyond_margin.mean()) > 2.5 * beyond_margin.std(ddof=1) / math.sqrt(n):
            return seen
    return run


@pytest.mark.parametrize("name", ["the seeds are alike", "5% of the episodes lose the gain"])
def test_proofs_that_end_when_they_are_clear_do_not_bias_what_they_come_to(name):
    settings = {**WORLDS, **FALLS}[name]
    trials = simulated(9, 3, 150, 320, truth=1.0, **settings)
    proofs = [[SeedGroup(one.env, tuple(map(stopped, one.runs))) for one in groups] for groups in trials]
    lengths = {len(run.student) for groups in proofs for one in groups for run in one.runs}
    assert min(lengths) < 100 < max(lengths)
    covered, n = share_covered([across_seeds(groups) for groups in proofs], truth=1.0)
    assert n > 135
    assert covered >= least(n)


def test_runs_count_with_as_many_episodes_as_the_shortest_proof():
    students, teacher, random = world(np.random.default_rng(10), 3, 100, seed=0.1, student=0.2)
    whole = group((students[:, :60], teacher[:60], random[:60]))
    long = group((students, teacher, random))
    assert across_seeds([SeedGroup(whole.env, (*long.runs[:2], whole.runs[2]))]) == across_seeds([whole])


def test_the_table_of_calibration_has_a_row_for_every_world():
    rows = list(coverage_rows(4, np.random.default_rng(0), sizes=((1, 2), (2, 2))))
    assert [row[0] for row in rows] == [*WORLDS, *FALLS]
    assert {len(row) for row in rows} == {3}


def test_students_that_share_their_episodes_share_its_luck():
    rng = np.random.default_rng(3)
    students, teacher, random = world(rng, 6, 100, luck=0.1, student=0.1, teacher=0.3, random=0.3)
    halves = [(students[:3], teacher, random), (students[3:], teacher, random)]
    together = across_seeds([group(half) for half in halves])
    apart = across_seeds([group(half, env) for half, env in zip(halves, ("one", "other"), strict=True)])
    assert together.mean == pytest.approx(apart.mean)
    # As many episodes again would have narrowed it; these are the same.
    assert together.high - together.low > 1.2 * (apart.high - apart.low)


def test_the_half_width_is_that_of_a_plain_calculation():
    students, teacher, random = world(np.random.default_rng(4), 4, 50, seed=0.05, luck=0.1, student=0.2, teacher=0.2)
    found = across_seeds([group((students, teacher, random))])
    gain = teacher.mean() - random.mean()
    kept = (students.mean(axis=1) - random.mean()) / gain
    differences = ((students - random) - kept.mean() * (teacher - random)) / gain
    between_seeds, between_episodes = kept.var(ddof=1) / 4, differences.mean(axis=0).var(ddof=1) / 50
    # Student's t at 97.5% with 3 and with 49 degrees of freedom.
    half = math.sqrt(3.182446**2 * between_seeds + 2.009575**2 * between_episodes)
    assert (found.low, found.high) == pytest.approx((kept.mean() - half, kept.mean() + half))
    assert found.text() == f"{kept.mean():.3f} [{found.low:.3f}, {found.high:.3f}]"


def test_seeds_that_agree_to_a_hair_have_a_range_and_no_interval():
    teacher, random = np.full(100, 500.0), np.full(100, 20.0)
    found = across_seeds([group((np.array([teacher, teacher, teacher - 1]), teacher, random))])
    assert found.kind == "range", "3 of 100 episodes may be falls that none showed"
    assert (found.low, found.high) == pytest.approx((1 - 1 / 480, 1.0))
    assert found.text() == "0.999, range 0.998 to 1.000"


def test_one_training_seed_has_neither():
    found = across_seeds([group(world(np.random.default_rng(5), 1, 50, student=0.2))])
    assert (found.kind, found.n_runs, found.n_groups) == ("none", 1, 1)
    assert found.to_json()["low"] is None
    assert found.text() == f"{found.mean:.3f}"


def test_one_seed_in_one_environment_leaves_the_others_a_range():
    rng = np.random.default_rng(6)
    groups = [group(world(rng, n, 100, seed=0.1, student=0.2), f"env {n}") for n in (1, 3)]
    found = across_seeds(groups)
    kept = [[run.kept for run in one.runs] for one in groups]
    assert found.kind == "range"
    assert found.low == pytest.approx((min(kept[0]) + min(kept[1])) / 2)
    assert found.high == pytest.approx((max(kept[0]) + max(kept[1])) / 2)


def test_a_teacher_that_does_not_beat_random_leaves_nothing_to_keep():
    rng = np.random.default_rng(7)
    useless = group((rng.normal(size=(3, 50)), rng.normal(-0.5, 1, 50), rng.normal(0, 1, 50)), "useless")
    found = across_seeds([useless])
    assert (found.kind, found.text(), found.n_undefined) == ("undefined", "undefined", 1)
    assert found.to_json()["mean"] is None
    good = group(world(rng, 3, 50, seed=0.1), "good")
    both = across_seeds([useless, good])
    assert both.mean == across_seeds([good]).mean
    assert (both.n_groups, both.n_undefined) == (1, 1)


def test_a_gain_that_is_barely_clear_has_a_range():
    rng = np.random.default_rng(8)
    teacher, random = rng.normal(0, 1, 50), np.zeros(50)
    teacher = (teacher - teacher.mean()) / teacher.std(ddof=1)
    # In standard errors.
    for gain, kind in ((2, "undefined"), (2.6, "range"), (10, "interval")):
        shifted = teacher + gain / math.sqrt(50)
        students = shifted + rng.normal(size=(3, 50))
        assert across_seeds([group((students, shifted, random))]).kind == kind


def test_the_iqm_is_over_the_runs_and_does_not_see_rare_falls():
    teacher, random = np.full(100, 100.0), np.zeros(100)
    students = np.tile(teacher, (4, 1))
    students[:, :10] = 0.0
    found = across_seeds([group((students, teacher, random))])
    assert (found.mean, found.iqm) == (pytest.approx(0.9), 1.0)


def test_the_point_estimates_are_rliables():
    # In a process of its own: what it imports warns.
    code = """if True:
        import json, sys, warnings
        warnings.simplefilter("ignore")
        import numpy as np
        from rliable import metrics
        means, iqms = (np.array(scores).T for scores in json.loads(sys.argv[1]))
        print(json.dumps([metrics.aggregate_mean(means), metrics.aggregate_iqm(iqms)]))
    """
    rng = np.random.default_rng(9)
    groups = [group(world(rng, 5, 40, seed=0.1, student=0.2, falls=0.05), f"env {i}") for i in range(3)]
    scores = [[[getattr(run, name) for run in one.runs] for one in groups] for name in ("kept", "iqm_kept")]
    done = subprocess.run([sys.executable, "-c", code, json.dumps(scores)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = across_seeds(groups)
    assert [found.mean, found.iqm] == pytest.approx(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("groups", [[], [SeedGroup("Lander-v3", ())]])
def test_groups_without_a_run_are_refused(groups):
    with pytest.raises(ValueError, match="at least one run"):
        across_seeds(groups)
