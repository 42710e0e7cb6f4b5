"""The command `suite`, from a grid to its table."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from stable_baselines3 import PPO

from policy_distill.cli import main

GRID = """
teachers: [{path: teacher.zip, env: CartPole-v1}]
students: [mlp:4]
distill: {timesteps: %s, n_envs: 4, n_steps: 32, n_epochs: 1, eval_episodes: 3, select_episodes: 2, n_eval_envs: 3}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"n_steps": 16, "batch_size": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    PPO("MlpPolicy", "CartPole-v1", **settings).save(tmp_path / "teacher.zip")
    (tmp_path / "grid.yaml").write_text(GRID % 256)
    return tmp_path


def test_a_grid_is_run_to_its_table_page_and_group(here, capfd):
    (here / "grid.yaml").write_text(
        f"{GRID % 256}finetune: {{timesteps: 256, n_envs: 4, method: es, eval_episodes: 3}}\n"
    )
    words = ["suite", "grid.yaml", "--out", "out"]
    assert main([*words, "--dry-run", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)
    assert [one["state"] for one in listed["cells"]] == ["to do"] * 2
    assert not (here / "out").exists()
    assert main(words) == 0
    said = capfd.readouterr()
    assert re.search(r"CartPole-v1 +teacher\.zip +mlp:4", said.out)
    assert "seed 0: done" in said.err
    for folder in (one["folder"] for one in listed["cells"]):
        assert (here / "out" / folder / "evaluation.json").is_file()
        assert (here / "out" / folder / "report.html").is_file()
    assert (here / "out" / "report.html").is_file()
    tracked = [json.loads(path.read_text()) for path in here.glob("out/**/wandb/policy_distill.json")]
    assert len(tracked) == 3, "two cells and the suite's own table"
    assert main(words) == 2
    assert "--resume" in capfd.readouterr().err
    stamps = {path: path.stat().st_mtime_ns for path in here.rglob("student.safetensors")}
    assert main([*words, "--resume", "--json", "--track", "disabled"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["n_done"], found["n_failed"]) == (2, 0)
    assert found == json.loads((here / "out" / "suite.json").read_text())
    assert stamps == {path: path.stat().st_mtime_ns for path in here.rglob("student.safetensors")}


def test_a_suite_that_is_interrupted_goes_on_from_its_checkpoints(here):
    (here / "grid.yaml").write_text(GRID % 1_000_000)
    command = [sys.executable, "-m", "policy_distill", "suite", "grid.yaml", "--out", "out", "--track", "disabled"]
    metrics = here / "out" / "teacher" / "CartPole-v1" / "mlp-4" / "seed-0" / "metrics.jsonl"
    said = stopped_after(command, metrics, 1)
    assert "suite grid.yaml --out out --track disabled --resume" in said
    assert list(metrics.parent.glob("checkpoint/step-*"))
    before = metrics.read_text()
    stopped_after([*command, "--resume"], metrics, before.count("\n") + 1)
    assert metrics.read_text().startswith(before), "the second attempt went on after the first"


def stopped_after(command, metrics, n_rows):
    """Run a suite until a cell has logged so many rows, interrupt it, and return what it said."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text().count("\n") >= n_rows) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    return said


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["nothing.yaml", "--out", "out"], "nothing.yaml"),
        (["grid.yaml", "--out", "teacher.zip"], "teacher.zip"),
        (["grid.yaml", "--out", "out", "--resume"], "suite.json"),
        (["grid.yaml", "--out", "out", "--track", "paper"], "paper"),
        (["bar.yaml", "--out", "out"], "retention"),
        (["tried.yaml", "--out", "out"], "tried.yaml, compress, students: "),
        (["space.yaml", "--out", "out"], "space.yaml, search"),
        (["space.yaml", "--out", "out", "--search", "optuna", "--dry-run"], "space.yaml, search"),
        (["grid.yaml", "--out", "out", "--retries", "-1"], "--retries of at least 0"),
        (["grid.yaml", "--out", "out", "--search", "optuna", "--trials", "0", "--dry-run"], "--trials of at least 1"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(here, words, found, capfd):
    (here / "bar.yaml").write_text("teachers: teacher.zip\ncompress: {retention: 2}\n")
    (here / "tried.yaml").write_text("teachers: teacher.zip\ncompress: {students: [gru, mpl:8]}\n")
    (here / "space.yaml").write_text("teachers: teacher.zip\nsearch: {learning_rate: {low: 1}}\n")
    assert main(["suite", *words]) == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert found in said[0]
    assert not os.path.isdir("out")


def test_the_trials_of_a_search_are_listed(here, capfd):
    words = ["suite", "grid.yaml", "--out", "out", "--search", "optuna", "--trials", "2", "--dry-run", "--json"]
    assert main(words) == 0
    listed = json.loads(capfd.readouterr().out)["cells"]
    assert [one["name"] for one in listed] == ["teacher/CartPole-v1 trial 0", "teacher/CartPole-v1 trial 1"]
    assert not (here / "out").exists()


def test_a_suite_whose_cells_cannot_be_made_says_why_and_ends_with_status_1(here, capfd):
    (here / "grid.yaml").write_text((GRID % 256).replace("CartPole-v1", "Pendulum-v1"))
    assert main(["suite", "grid.yaml", "--out", "out", "--track", "disabled", "--json"]) == 1
    said = capfd.readouterr()
    assert re.search(r"Pendulum-v1 mlp:4 seed 0 +failed +exit status 2: policy-distill: ", said.err)
    assert json.loads(said.out)["n_failed"] == 1
