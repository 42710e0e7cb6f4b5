"""The page of a fine-tuned run: its phases, its verdict, and the command that makes it again."""

import json
import shlex

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO

from policy_distill.cli import main
from policy_distill.report import read_run as reading
from policy_distill.report.charts import learning_curve, run_charts
from policy_distill.report.read_run import read_run
from policy_distill.report.tuning import critic_chart
from policy_distill.report.write import run_page, write_report
from policy_distill.run.finetuning.finetune import finetune
from policy_distill.student.runtime import load_student
from tests.report.test_report import browser, open_in_browser
from tests.run.finetuning.doubles import QUICK, student_of
from tests.run_folders import write_run

RETURNS = {"mean": 200.0, "std": 4.0, "median": 201.0, "iqm": 202.0, "ci95": [190.0, 210.0], "worst5": 150.0}
FOUND = {
    **{"method": "ppo", "returned": "tuned", "outcome": "better", "p_value": 0.01, "gain": 50.0, "n_episodes": 60},
    **{"seed": 1_000_000, "began_with": RETURNS, "tuned": {**RETURNS, "mean": 250.0}},
}
JUDGED = {0: 200.0, 9: 240.0, 15: 60.0, 30: 250.0}
"""By its row: the student of row 15 has collapsed."""


def write_tuned(path, *, method="ppo", teacher=None, n_rows=30, **found):
    """Write the run folder of a fine-tuning whose critic learnt alone for 5,000 steps."""
    write_run(path, n_rows=n_rows, method=method, critic_steps=5_000)
    config = json.loads((path / "config.json").read_text())
    config |= {"finetuning": {"method": method, "student": "0" * 64}, "teacher": teacher or config["teacher"]}
    (path / "config.json").write_text(json.dumps(config))
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    for i, row in enumerate(rows, start=1):
        row |= {"train/kl_weight": 0.0 if i <= 5 else 1 / i, "train/value_explained": -3.0 if i == 1 else i / n_rows}
        row |= {"train/setbacks": 1.0} if i > 15 else {}
    rows = [{"time/env_steps": 0}, *rows]
    for i, value in JUDGED.items():
        rows[i]["eval/selection_return"] = value
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation = json.loads((path / "evaluation.json").read_text())
    (path / "evaluation.json").write_text(json.dumps({**evaluation, "finetuning": {**FOUND, **found}}))
    return path


def marked(chart, kind):
    """Return the data of the layers of a chart that are drawn by a mark."""
    layers = chart.spec["layer"]
    found = [one for one in layers if one["mark"]["type"] == kind and "data" in one]
    return [row for one in found for row in one["data"]["values"]]


def test_the_learning_curve_shows_the_warm_up_the_beginning_and_where_the_student_fell(tmp_path):
    chart = learning_curve(read_run(write_tuned(tmp_path / "run")))
    assert {"name": "only the critic learns", "from": 0, "to": 5000.0} in marked(chart, "rect")
    assert {"name": "as it came", "value": 200.0} in marked(chart, "rule")
    assert marked(chart, "point") == [{"name": "collapsed", "steps": 15_000, "value": 60.0}]
    judged = [row for row in chart.spec["data"]["values"] if row["who"] == "judged"]
    assert [(row["steps"], row["value"]) for row in judged] == [(1000 * i, value) for i, value in JUDGED.items()]
    assert "1 in all" in chart.note


def test_kl_its_weight_and_the_critic_are_drawn(tmp_path):
    run = read_run(write_tuned(tmp_path / "run"))
    charts = {chart.title: chart for chart in run_charts(run)}
    rows = charts["KL and its weight"].spec["data"]["values"]
    assert rows[0] == {"steps": 1000, "kl": 0.5, "weight": 0.0}
    assert rows[-1]["weight"] == pytest.approx(1 / 30)
    assert "KL" not in charts, "one chart of it"
    explained = charts["The critic"].spec["data"]["values"]
    assert explained[0] == {"steps": 1000, "value": -1.0, "found": -3.0}
    assert explained[-1]["value"] == 1.0


def test_without_a_teacher_there_is_no_weight_and_the_page_says_whom_it_means(tmp_path):
    alone = {"algorithm": "student", "source": None, "sha256": None}
    run = read_run(write_tuned(tmp_path / "run", teacher=alone))
    (chart,) = (chart for chart in run_charts(run) if chart.title == "KL")
    assert not any("weight" in str(layer["encoding"]) for layer in chart.spec["layer"])
    page = run_page(run)
    assert page.subtitle.startswith("fine-tuned by PPO without a teacher")
    assert "What is called the teacher here is the student that it began as." in page.notes


def test_an_evolution_strategy_has_no_warm_up_and_no_critic(tmp_path):
    path = write_tuned(tmp_path / "run", method="es")
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    kept = [{name: value for name, value in row.items() if "explained" not in name} for row in rows]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    run = read_run(path)
    assert not [row for row in marked(learning_curve(run), "rect") if "to" in row]
    assert critic_chart(run) is None
    assert run_page(run).subtitle.startswith("fine-tuned by an evolution strategy beside its teacher teacher.zip")


def test_badge_figure_and_table_say_what_came_of_it(tmp_path):
    page = run_page(read_run(write_tuned(tmp_path / "tuned")))
    assert page.badge == ("better than it began", "good")
    assert page.figures[0] == ("+50", "return gained", "better, p = 0.01, 60 episodes; the tuned student is kept")
    (table,) = (table for table in page.tables if table.title == "Before and after fine-tuning")
    assert [(row[0], row[1], row[-1]) for row in table.rows] == [
        ("tuned", 250.0, "returned"),
        ("began with", 200.0, ""),
    ]
    lost = write_tuned(tmp_path / "lost", returned="began_with", outcome="undecided", gain=-1.5, p_value=0.7)
    page = run_page(read_run(lost))
    assert page.badge == ("returned as it began", "open")
    assert page.figures[0][0] == "-1.5"
    assert "the student that it began with is returned" in page.figures[0][2]
    assert any("not proven better (undecided)" in note for note in page.notes)


def test_a_run_that_has_not_ended_and_one_that_tested_nothing_have_a_page(tmp_path):
    path = write_tuned(tmp_path / "run", outcome=None, gain=None, n_episodes=None, tuned=None, began_with=None)
    run = read_run(path)
    assert run_page(run).badge[0] == run.proof.retention.outcome
    (path / "evaluation.json").unlink()
    page = run_page(read_run(path))
    assert page.badge is None
    assert "return gained" not in str(page.figures)


def test_a_distillation_is_drawn_as_before(tmp_path):
    run = read_run(write_run(tmp_path / "run"))
    assert {"KL and its weight", "The critic"}.isdisjoint(chart.title for chart in run_charts(run))
    assert "dotted" not in learning_curve(run).note
    assert run_page(run).subtitle == "distilled from teacher.zip, training seed 0"


def test_judgements_outlast_the_thinning_of_a_long_run(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ROWS", 10)
    run = read_run(write_tuned(tmp_path / "run"))
    assert [value for _, value in run.curve("eval/selection_return")] == list(JUDGED.values())
    assert len(run.metrics) <= 10 + len(JUDGED)


@browser
def test_a_fine_tuned_run_is_drawn_in_a_browser_without_an_error(tmp_path):
    dom, console, _ = open_in_browser(write_report(write_tuned(tmp_path / "run")))
    assert console == []
    assert 'data-drawn="yes"' in dom
    for words in ("The critic", "KL and its weight", "better than it began", "Before and after fine-tuning"):
        assert words in dom


@pytest.mark.parametrize("anchored", [False, True], ids=["alone", "with a teacher"])
def test_the_command_of_the_page_makes_the_same_student(tmp_path, monkeypatch, anchored):
    monkeypatch.chdir(tmp_path)
    student_of(gymnasium.make("CartPole-v1")).save(tmp_path / "begun.safetensors")
    PPO("MlpPolicy", "CartPole-v1", seed=0).save(tmp_path / "teacher.zip")
    options = {**QUICK, "critic_steps": 0, "learning_rate": 0.01, "max_episode_steps": 30, "gamma": 0.9}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    named = ["--teacher", "teacher.zip"] if anchored else []
    made = ["finetune", "begun.safetensors", "--env", "CartPole-v1", *named, *words, "--no-normalize-rewards"]
    assert main([*made, "--out", "run", "--track", "disabled"]) == 0
    command = read_run(tmp_path / "run").command()
    assert command.startswith("policy-distill finetune begun.safetensors ")
    assert ("--teacher teacher.zip" in command) == anchored
    assert "--no-normalize-rewards" in command and "--observe" not in command and "--eval-seed" not in command
    assert main([*shlex.split(command)[1:], "--track", "disabled"]) == 0
    one, again = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("run", "run-again"))
    assert one == again
    one, again = (load_student(tmp_path / name / "student.safetensors") for name in ("run", "run-again"))
    assert all(np.array_equal(array, again.tensors[name]) for name, array in one.tensors.items())
    assert one.provenance == again.provenance


def test_a_live_student_has_no_command_and_the_page_says_why(tmp_path):
    finetune(student_of(gymnasium.make("CartPole-v1")), "CartPole-v1", out=tmp_path / "run", **QUICK)
    run = read_run(tmp_path / "run")
    assert run.command() == ""
    assert any("the student that it started from is not a file" in note for note in run_page(run).notes)


def test_a_folder_that_does_not_say_which_student_it_began_with_has_no_command(tmp_path):
    run = read_run(write_tuned(tmp_path / "run"))
    assert run.command() == ""
    assert any("which student it began with is not recorded" in note for note in run_page(run).notes)
