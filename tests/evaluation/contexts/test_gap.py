"""The gap between contexts that were seen and those that were held out."""

import json

import numpy as np
import pytest

from policy_distill.evaluation.contexts.gap import gaps_of
from policy_distill.evaluation.contexts.records import ContextsRecord, GapRecord
from policy_distill.report.conditions.contexts import heat_map
from policy_distill.report.conditions.perturbed import context_rows, gap_rows
from policy_distill.report.read_run import read_run
from policy_distill.report.write import write_report
from policy_distill.system.records import dump, load
from tests.run_folders import write_run


def group(means, n=50, seed=0):
    """Return contexts in which teacher and student score so much in the mean."""
    rng = np.random.default_rng(seed)
    return [np.array([t + rng.normal(0, 0.1, n), s + rng.normal(0, 0.1, n)]) for t, s in means]


def test_the_gap_is_what_is_lost_from_seen_to_held_out():
    seen, others = group([(1.0, 1.0)] * 6), group([(0.7, 0.4)] * 6, seed=1)
    teacher, student, difference = gaps_of(seen, others)
    assert teacher.mean == pytest.approx(0.3, abs=0.05)
    assert student.mean == pytest.approx(0.6, abs=0.05)
    assert difference.mean == pytest.approx(student.mean - teacher.mean)
    for gap in (teacher, student, difference):
        low, high = gap.ci95
        assert low < gap.mean < high
    # The student loses more than its teacher.
    assert difference.ci95[0] > 0.0


def test_the_interval_is_as_wide_as_contexts_differ():
    narrow = gaps_of(group([(1.0, 1.0)] * 6), group([(0.5, 0.5)] * 6))[0].ci95
    wide = gaps_of(group([(1.0, 1.0)] * 6), group([(0.0, 0.0), (1.0, 1.0)] * 3))[0].ci95
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_of_one_context_there_is_no_interval_and_of_no_gain_no_gap():
    (alone, *_) = gaps_of(group([(1.0, 1.0)]), group([(0.5, 0.5)] * 2))
    assert alone.ci95 is None
    assert "a group has one context alone" in alone.words
    (nothing, *_) = gaps_of(group([(float("nan"), 1.0)]), group([(0.5, 0.5)] * 2))
    assert nothing.mean is None
    assert nothing.words.startswith("undefined")


def one(g, d, seen, student):
    return {
        **{"name": f"g={g}, perturb={d}", "values": {"g": g, "perturb": d}, "seen": seen, "n_episodes": 4},
        **{"teacher": 100.0, "student": student, "random": 0.0, "teacher_share": 1.0, "student_share": student / 100},
        **{"retention": student / 100, "outcome": "inferior"},
    }


GRID = {
    "contexts": [
        one(8, "none", True, 90.0),
        one(8, "d", False, 50.0),
        one(9, "none", False, 80.0),
        one(9, "d", True, 7.0),
    ],
    "teacher": {"mean": 0.0, "ci95": [-0.1, 0.1]},
    "student": {"mean": 0.2, "ci95": [0.1, 0.3]},
    "difference": {"mean": 0.2, "ci95": None},
}


def test_a_record_goes_through_its_file_and_seen_contexts_stand_first():
    record = load(ContextsRecord, GRID, "contexts.json")
    assert dump(record) == GRID
    assert [row[1] for row in context_rows(record)] == ["seen", "seen", "held out", "held out"]
    assert gap_rows(record)[1] == ("gap, student", "+0.200 [+0.100, +0.300]")
    assert record.varied == ["g", "perturb"]


def test_the_page_has_a_heat_map_by_two_arguments_or_by_context(tmp_path):
    folder = tmp_path / "run"
    write_run(folder)
    (folder / "contexts.json").write_text(json.dumps(GRID))
    chart = heat_map(read_run(folder))
    assert chart.spec["encoding"]["x"]["title"] == "g"
    assert chart.spec["encoding"]["column"]["field"] == "who"
    assert len(chart.spec["data"]["values"]) == 8
    page = write_report(folder).read_text()
    assert "gap, student less teacher" in page
    (folder / "contexts.json").write_text(json.dumps({**GRID, "contexts": GRID["contexts"][::3]}))
    # Two contexts that differ in both arguments are no grid.
    assert heat_map(read_run(folder)).spec["encoding"]["y"]["field"] == "name"


def test_a_gap_without_ends_is_said_so():
    assert GapRecord(0.5, [None, None]).words == "+0.500, no interval: a group has one context alone"
