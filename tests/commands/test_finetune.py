"""The command `finetune`, from words to files."""

import json

import pytest

from policy_distill.cli import main
from policy_distill.student.runtime import load_student
from policy_distill.tracking.jsonl import read_metrics
from tests.run.finetuning.doubles import student_of
from tests.wandb_reader import read_run

QUICK = ["--timesteps", "512", "--n-envs", "4", "--n-steps", "32", "--critic-steps", "128", "--batch-size", "32"]
QUICK += ["--n-selections", "2", "--select-episodes", "2", "--eval-episodes", "4"]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    import gymnasium

    monkeypatch.chdir(tmp_path)
    (tmp_path / "begun").mkdir()
    student_of(gymnasium.make("CartPole-v1")).save(tmp_path / "begun" / "student.safetensors")
    return "begun"


def test_a_run_folder_goes_on_in_a_folder_of_its_own(begun, capfd):
    words = ["finetune", begun, "--env", "CartPole-v1", "--out", "tuned", *QUICK]
    assert main([*words, "--track", "disabled"]) == 0
    said = capfd.readouterr().out
    assert "fine-tuned" in said
    assert "began with" in said
    assert "tuned/student.safetensors" in said
    assert main(words) == 2
    assert "--resume" in capfd.readouterr().err


def test_json_is_the_evaluation_and_nothing_else(begun, capfd):
    words = ["finetune", f"{begun}/student.safetensors", "--env", "CartPole-v1", "--out", "tuned", *QUICK]
    assert main([*words, "--track", "disabled", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["finetuning"]["returned"] in ("tuned", "began_with")
    assert found["finetuning"]["method"] == "ppo"


def test_a_tracked_run_is_in_the_group_of_the_student_that_it_began_with(begun, tmp_path):
    assert main(["finetune", begun, "--env", "CartPole-v1", "--out", "tuned", *QUICK, "--track", "offline"]) == 0
    run = read_run(tmp_path / "tuned" / "wandb")
    assert (run["run"].job_type, run["run"].run_group) == ("finetune", "begun")
    # The student that it began with, and the one that it handed over.
    assert len({one.name for one in run["artifacts"] if one.type == "student"}) == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["finetune", "nothing.safetensors", "--env", "CartPole-v1", "--out", "x"], "nothing.safetensors"),
        (["finetune", "begun", "--env", "Pendulum-v1", "--out", "x"], "does not fit"),
        (["finetune", "begun", "--env", "CartPole-v1", "--out", "x", "--method", "cma"], "cma"),
        (["finetune", "begun", "--env", "CartPole-v1", "--out", "x", "--gamma", "2"], "gamma"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(begun, words, found, capfd):
    status = 0
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    assert status == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert found in said[0]


def test_the_evolution_strategy_is_a_method(begun, tmp_path):
    words = ["finetune", begun, "--env", "CartPole-v1", "--out", "evolved", *QUICK, "--method", "es", "--es-pairs", "2"]
    assert main([*words, "--track", "disabled"]) == 0
    steps = [row["time/env_steps"] for row in read_metrics(tmp_path / "evolved" / "metrics.jsonl")]
    assert steps[-1] >= 512
    assert load_student(tmp_path / "evolved" / "student.safetensors").provenance["finetuning"]["method"] == "es"
