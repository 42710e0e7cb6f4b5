import json

import pytest

from experiments.results import Results
from experiments.results import main as write_results
from policy_distill.report.grouping import grouped, is_defined, left_out
from policy_distill.report.read_run import find_runs
from policy_distill.report.suite_charts import cells, overall
from policy_distill.report.write import write_report
from tests.run_folders import write_run


def change(path, file, *keys, to):
    record = json.loads((path / file).read_text())
    part = record
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = to
    (path / file).write_text(json.dumps(record))


def test_runs_that_differ_in_their_seed_alone_are_one_group(tmp_path):
    for seed in range(3):
        write_run(tmp_path / f"s{seed}", seed=seed, checkpoint_minutes=float(seed))
    (group,) = grouped(find_runs(tmp_path).runs)
    assert ([run.seed for run in group.runs], group.student, group.repeated) == ([0, 1, 2], "mlp:8", [])
    assert left_out(find_runs(tmp_path).runs) == []


def test_runs_of_other_settings_are_groups_of_their_own_and_named_by_what_differs(tmp_path):
    for seed in range(2):
        write_run(tmp_path / f"short{seed}", seed=seed, timesteps=1000, loss=0.3)
        write_run(tmp_path / f"long{seed}", seed=seed)
    found = {cell.student: cell for cell in cells(find_runs(tmp_path).runs)}
    assert set(found) == {"mlp:8 (timesteps 1000)", "mlp:8 (timesteps 30000)"}
    assert all(len(cell.runs) == 2 for cell in found.values())
    short, long = (found[name].retention.iqm for name in sorted(found))
    assert short < 0.8 < 0.95 < long


def test_another_teacher_of_the_same_name_is_another_group(tmp_path):
    for number in range(2):
        path = write_run(tmp_path / f"s{number}", seed=number)
        change(path, "config.json", "teacher", "sha256", to=str(number) * 64)
    assert len(grouped(find_runs(tmp_path).runs)) == 2


def test_the_same_seed_counts_once_and_it_is_said(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_run(tmp_path / name, seed=seed)
    runs = find_runs(tmp_path).runs
    (cell,) = cells(runs)
    assert [run.name for run in cell.runs] == ["a", "c"]
    assert overall([cell]).n_runs == 2
    (sentence,) = left_out(runs)
    assert sentence == "1 of the runs repeats the seed and the settings of another run, and counts once with it: b."
    assert sentence in write_report(tmp_path).read_text()


def test_a_retention_whose_iqm_alone_is_undefined_counts(tmp_path):
    # A teacher that seldom scores: the middle half of its returns is no better than random's.
    folder = write_run(tmp_path / "seldom")
    change(folder, "evaluation.json", "retention", "iqm", to=None)
    runs = find_runs(tmp_path).runs
    assert [is_defined(run) for run in runs] == [True]
    assert left_out(runs) == []


@pytest.mark.parametrize("how", ["by its verdict", "by its number"])
def test_a_retention_that_is_undefined_is_in_no_mean_and_it_is_said(tmp_path, how):
    for seed in range(3):
        path = write_run(tmp_path / f"s{seed}", seed=seed)
    if how == "by its verdict":
        change(path, "evaluation.json", "retention", "verdict", "outcome", to="undefined")
        change(path, "evaluation.json", "retention", "iqm", to=40.0)
    else:
        change(path, "evaluation.json", "retention", to=None)
    runs = find_runs(tmp_path).runs
    (cell,) = cells(runs)
    assert (len(cell.runs), cell.retention.n_runs) == (3, 2)
    assert 0.9 < cell.retention.iqm < 1.1
    assert overall([cell]).n_runs == 2
    page = write_report(tmp_path).read_text()
    assert "3, 1 undefined" in page
    assert "1 of the runs is in no mean, since the teacher&#x27;s gain over random is not clear there: s2." in page


def test_a_group_without_a_defined_retention_has_none(tmp_path):
    path = write_run(tmp_path / "s0")
    change(path, "evaluation.json", "retention", "verdict", "outcome", to="undefined")
    (cell,) = cells(find_runs(tmp_path).runs)
    assert cell.retention is None and overall([cell]) is None
    assert "undefined" in write_report(tmp_path).read_text()


def test_results_say_what_they_leave_out(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_run(tmp_path / "runs" / name, seed=seed)
    write_results(Results((tmp_path / "runs",), out=tmp_path / "RESULTS.md", min_seeds=2))
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| mlp:8 | 2 |" in text
    assert "1 of the runs repeats the seed" in text
