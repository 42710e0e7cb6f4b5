import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from policy_distill.teachers.train import train_teacher

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py") if path.stem not in {"__init__", "run"})
QUICK = ["--timesteps", "512", "--n-steps", "32", "--eval-episodes", "3", "--track", "disabled"]


def run(name, *arguments):
    command = [sys.executable, "-m", f"experiments.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_explains_itself(name):
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"python -m experiments.{name}" in done.stdout
    assert "--seeds" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_from_a_teacher_to_one_student_a_seed(name, tmp_path):
    env_id = importlib.import_module(f"envs.{name}").ENV_ID
    hyperparameters = {"n_steps": 16, "batch_size": 16}
    train_teacher(env_id, "ppo", 32, (8,), 0, tmp_path / "teacher.zip", n_envs=2, hyperparameters=hyperparameters)
    arguments = ["--teacher", str(tmp_path / "teacher.zip"), "--out", str(tmp_path / "run"), "--seeds", "0", "1"]
    done = run(name, *arguments, *QUICK)
    assert done.returncode == 0, done.stderr
    for seed in (0, 1):
        folder = tmp_path / "run" / f"seed-{seed}"
        assert json.loads((folder / "config.json").read_text())["config"]["seed"] == seed
        assert (folder / "student.safetensors").exists()


@pytest.mark.slow
def test_the_speed_benchmark_runs_each_in_turn_and_writes_its_figures(zoo, tmp_path):
    arguments = ["--zoo", str(zoo), "--task", "acrobot", "--timesteps", "2048", "--runs", "2"]
    done = run("benchmarks.speed", *arguments, "--out", str(tmp_path / "speed.json"))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "speed.json").read_text())
    assert set(record["seconds"]) == {"environment alone", "policy_distill", "plain script"}
    assert all(len(values) == 2 for values in record["seconds"].values())
    assert "ratio to the environment" in done.stdout


@pytest.mark.slow
def test_an_experiment_trains_its_own_teacher(tmp_path):
    done = run("cartpole", "--out", str(tmp_path / "run"), "--teacher-timesteps", "512", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "seconds training the teacher" in done.stdout
    again = run("cartpole", "--out", str(tmp_path / "run"), "--teacher-timesteps", "512", *QUICK)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert "Traceback" not in again.stderr
