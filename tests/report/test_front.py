"""The page of a compression: its front as a chart and as tables."""

import json
import shlex

import pytest
import vl_convert

from policy_distill.cli import _parse, main
from policy_distill.commands.compress import Compress
from policy_distill.errors import RequestError
from policy_distill.report.front_chart import DEPTH, front_chart
from policy_distill.report.read_run import read_run
from policy_distill.report.suite_charts import cells
from policy_distill.report.write import run_page, write_report
from tests.run_folders import write_compression, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_compression(tmp_path_factory.mktemp("runs") / "small", n_episodes=200))


def rows_of(chart):
    """Return the rows of every layer with the layer's mark."""
    layers = chart.spec["layer"]
    return [(layer["mark"], layer.get("data", chart.spec["data"])["values"]) for layer in layers]


def test_the_chart_has_the_front_the_bar_the_teacher_and_what_was_dropped(run):
    chart = front_chart(run)
    by_kind = {(mark["type"], mark.get("size"), mark.get("color")): rows for mark, rows in rows_of(chart)}
    everything = [row for rows in by_kind.values() for row in rows]
    assert [row["at"] for row in everything if row.get("what") == "the bar"] == [0.95]
    assert [row["params"] for row in everything if row.get("spec") == "the teacher"] == [5000]
    front = chart.spec["data"]["values"]
    assert [(row["spec"], row["standing"]) for row in front] == [
        ("linear", "untested"),
        ("mlp:2", "proven"),
        ("mlp:3", "untested"),
    ]
    small = [row for mark, rows in rows_of(chart) if mark.get("size") == 22 for row in rows]
    assert [(row["spec"], row["kept"]) for row in small] == [("mlp:8", 0.98), ("mlp:32", None)]


def test_a_lower_bound_is_drawn_of_what_is_tested_and_an_error_of_what_is_not(run):
    front = {row["spec"]: row for row in front_chart(run).spec["data"]["values"]}
    assert front["mlp:2"]["low"] == pytest.approx(run.compression.best.retention.mean_low)
    assert front["mlp:2"]["high"] == front["mlp:2"]["kept"]
    assert (front["mlp:3"]["low"], front["mlp:3"]["high"]) == pytest.approx((0.98, 1.02))
    assert front["linear"]["below"] and front["linear"]["at"] == pytest.approx(0.95 - DEPTH)
    assert front["linear"]["kept"] == 0.4, "the pointer shows what it kept"


def test_the_library_draws_it(run):
    svg = vl_convert.vegalite_to_svg({**front_chart(run).spec, "width": 500})
    assert svg.count('aria-roledescription="point"') == 3 + 1 + 2, "the front, the teacher, two grey marks"
    for shown in ("parameters of the student", "proven", "untested"):
        assert shown in svg


def test_the_page_says_what_is_claimed_and_has_the_tables(run):
    page = run_page(run)
    assert page.title == "Lander-v3: mlp:2"
    assert page.charts[0].title == "The front"
    claim = "mlp:2 is proven to keep 95.0% of the teacher's gain; of what was tried, none smaller by params is."
    assert claim in page.notes
    titles = [table.title for table in page.tables]
    assert titles[:3] == ["Students on the front", "Judged, and beaten by one on the front", "Left behind"]
    assert [row[0] for row in page.tables[0].rows] == ["linear", "mlp:2", "mlp:3"]
    assert page.tables[2].rows[0] == ("mlp:32", "387", "5,000", "", "mlp:8 seems to keep enough")


def test_the_page_of_an_unproven_one_claims_nothing(tmp_path):
    notes = run_page(read_run(write_compression(tmp_path / "run", proven=False))).notes
    assert "mlp:2 is the best student found, not proven to keep 95.0% of the teacher's gain (undecided)." in notes
    assert "What would help: give the proof more --eval-episodes." in notes


def test_the_command_that_makes_it_again_is_understood(run):
    program, *words = shlex.split(run.command())
    made = _parse(words)
    assert program == "policy-distill" and isinstance(made, Compress)
    assert made.students == ("linear", "mlp:2", "mlp:3", "mlp:8", "mlp:32")
    assert (made.retention, made.minimize, made.max_params, made.keep_std) == (0.95, "params", 40, False)


def test_report_takes_the_folder_and_a_folder_of_them(tmp_path, capfd):
    write_compression(tmp_path / "a")
    write_run(tmp_path / "b")
    assert main(["report", str(tmp_path / "a")]) == 0
    assert "The front" in (tmp_path / "a" / "report.html").read_text()
    assert main(["report", str(tmp_path)]) == 0
    runs = [read_run(tmp_path / name) for name in "ab"]
    assert {cell.student for cell in cells(runs)} == {"mlp:2", "mlp:8"}
    assert capfd.readouterr().err == ""


def test_other_runs_are_drawn_as_before(tmp_path):
    run = read_run(write_run(tmp_path / "run"))
    assert run.compression is None and front_chart(run) is None
    assert "front" not in " ".join(table.title for table in run_page(run).tables)
    assert run.command().split()[1] == "distill"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"front": {}}, "compression.json, front: expected a list, found an object"),
        ({"front": [{"spec": 3}]}, "compression.json, front 0, spec: expected a text, found 3"),
        ({"bar": "high"}, "compression.json, bar: expected a number, found a text"),
    ],
)
def test_a_record_of_something_else_is_refused_by_its_field(tmp_path, change, words):
    path = write_compression(tmp_path / "run")
    record = json.loads((path / "compression.json").read_text())
    (path / "compression.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(RequestError, match=words):
        write_report(path)


@pytest.mark.parametrize("lost", ["front", "teacher", "bar", "dropped", "beaten", "winner", "env_steps_of"])
def test_a_record_that_lacks_a_part_is_drawn_without_it(tmp_path, lost):
    path = write_compression(tmp_path / "run")
    record = json.loads((path / "compression.json").read_text())
    del record[lost]
    (path / "compression.json").write_text(json.dumps(record))
    assert write_report(path).exists()


def test_a_bound_without_a_mean_is_not_drawn(tmp_path):
    path = write_compression(tmp_path / "run")
    record = json.loads((path / "compression.json").read_text())
    record["front"][1]["retention"]["mean"] = None
    (path / "compression.json").write_text(json.dumps(record))
    chart = front_chart(read_run(path))
    spans = [rows for mark, rows in rows_of(chart) if mark["type"] == "rule" and "color" not in mark]
    assert [row["spec"] for row in spans[0]] == ["mlp:3"]
