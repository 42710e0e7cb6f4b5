import json

from policy_distill.commands.showing.comparison_tables import perturbation_rows
from policy_distill.evaluation.records import ComparisonRecord
from policy_distill.report.conditions.perturbed import HEADER, perturbed_rows
from policy_distill.report.write import write_report
from policy_distill.system.records import load
from tests.run_folders import write_run

WHOLE = {
    "teacher": {"mean": 203.4, "worst5": -80.0},
    "student": {"mean": 1198.0, "worst5": -90.0},
    "random": {},
    "retention": {
        "iqm": 1.0,
        "ci95": [0.99, 1.01],
        "mean": 0.987,
        "mean_low": 0.951,
        "verdict": {"outcome": "non-inferior", "margin": 0.05},
    },
    "falls": {
        "teacher": {"n": 3, "n_episodes": 100, "rate": 0.03, "rate_high": 0.0757},
        "student": {"n": 0, "n_episodes": 100, "rate": 0.0, "rate_high": 0.029513},
    },
}


def cells(record):
    (row,) = perturbed_rows({"sticky:0.25": load(ComparisonRecord, record, "sticky:0.25")})
    # Two columns have the same short name, after their teacher's.
    return list(zip(HEADER, row, strict=True))


def test_a_row_has_mean_bound_verdict_and_falls_before_the_iqm():
    assert cells(WHOLE) == [
        ("condition", "sticky:0.25"),
        ("teacher, mean", "203.4"),
        ("student, mean", "1,198"),
        ("retention, mean", "0.987"),
        ("at least", "0.951"),
        ("verdict", "non-inferior"),
        ("falls: teacher", "3 of 100 (< 7.6%)"),
        ("student", "0 of 100 (< 3.0%)"),
        ("worst 5%: teacher", "-80.00"),
        ("student", "-90.00"),
        ("retention, IQM [95%]", "1.000 [0.990, 1.010]"),
    ]
    records = {"sticky:0.25": load(ComparisonRecord, WHOLE, "sticky:0.25")}
    assert perturbation_rows(records) == (perturbed_rows(records), HEADER)


def test_returns_that_are_small_can_be_told_apart():
    found = cells({**WHOLE, "teacher": {"mean": 0.955, "worst5": 0.012}, "student": {"mean": 1.0, "worst5": 0.01}})
    assert [text for name, text in found if name in ("teacher, mean", "student, mean")] == ["0.9550", "1.000"]
    assert dict(found)["worst 5%: teacher"] == "0.01200"


def test_what_an_earlier_version_did_not_measure_is_blank():
    old = {"retention": {"iqm": 0.5, "ci95": [None, None]}, "teacher": {"iqm": 1.0}, "student": None}
    assert [text for _, text in cells(old)] == ["sticky:0.25", *[""] * 9, "0.500"]
    for nothing in ({}, {"retention": None, "falls": None}, {"falls": {"student": None}}):
        assert [text for _, text in cells(nothing)] == ["sticky:0.25", *[""] * 9, "undefined"]


def test_of_a_teacher_that_gains_nothing_no_share_is_shown():
    found = dict(cells({**WHOLE, "retention": {**WHOLE["retention"], "verdict": {"outcome": "undefined"}}}))
    assert (found["retention, mean"], found["at least"], found["retention, IQM [95%]"]) == ("", "", "undefined")
    assert found["verdict"] == "undefined"


def test_a_runs_page_shows_the_same_row(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "perturbed.json").write_text(json.dumps({"sticky:0.25": WHOLE}))
    page = write_report(folder).read_text()
    assert all(word in page for word in ("0 of 100 (&lt; 3.0%)", "non-inferior", "at least", "0.951"))
