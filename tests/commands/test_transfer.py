"""The command `transfer`, from words to files."""

import json
import os
import shlex
import signal
import sys

import gymnasium
import pytest

from policy_distill.cli import main
from policy_distill.run.finetuning.ppo_session import PPOSession
from policy_distill.student.runtime import load_student
from tests.run.finetuning.doubles import student_of
from tests.test_golden import MANY
from tests.wandb_reader import read_run

QUICK = ["--timesteps", "512", "--n-envs", "4", "--n-steps", "32", "--batch-size", "32"]
QUICK += ["--select-episodes", "2", "--eval-episodes", "4"]
BY_REWARD = [*QUICK, "--critic-steps", "128", "--n-selections", "2"]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "begun").mkdir()
    student_of(gymnasium.make("CartPole-v1")).save(tmp_path / "begun" / "student.safetensors")
    return "begun"


def test_what_was_taken_along_is_said_recorded_and_made_again(begun, tmp_path, capfd):
    words = ["transfer", begun, "--env", "Acrobot-v1", "--out", "moved", *BY_REWARD]
    assert main([*words, "--track", "disabled"]) == 0
    said = capfd.readouterr()
    assert "layer 1  resized" in said.err
    assert "layer 2  begun anew" in said.err
    assert "fine-tuned" in said.out
    page = (tmp_path / "moved" / "report.html").read_text()
    assert "policy-distill transfer begun --env Acrobot-v1" in page
    assert main(words) == 2
    assert "--resume" in capfd.readouterr().err


def test_json_is_the_evaluation_and_nothing_else(begun, capfd):
    words = ["transfer", begun, "--env", "CartPole-v1", "--freeze", "1", "--out", "moved", *BY_REWARD]
    assert main([*words, "--track", "disabled", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)["transfer"]
    assert (found["by"], found["parts"][0]["frozen"]) == ("reward", True)


def test_a_student_teaches_one_of_another_task_and_both_are_tracked(begun, tmp_path):
    teacher = student_of(gymnasium.make("Acrobot-v1"), seed=1)
    teacher.save(tmp_path / "teacher.safetensors")
    words = ["transfer", begun, "--teacher", "teacher.safetensors", "--env", "Acrobot-v1", "--out", "moved", *QUICK]
    assert main([*words, "--track", "offline"]) == 0
    run = read_run(tmp_path / "moved" / "wandb")
    assert (run["run"].job_type, run["run"].run_group) == ("transfer", "begun")
    assert "policy-distill transfer begun --teacher teacher.safetensors" in (tmp_path / "moved/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["nothing.safetensors", "--env", "CartPole-v1"], "nothing.safetensors"),
        (["begun"], "expected --env or --env-kwargs"),
        (["begun", "--env", "CartPole-v1", "--task", "walk"], "expected the one task"),
        (["begun", "--env", "CartPole-v1", "--freeze", "9"], "expected layers to freeze among"),
        (["begun", "--env", "CartPole-v1", "--env-kwargs", "gravity:2"], "gravity"),
        (
            ["begun", "--env", "CartPole-v1", "--teacher", "begun", "--gamma", "0.9"],
            "expected no --gamma with --teacher",
        ),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(begun, words, found, capfd):
    assert main(["transfer", *words, "--out", "x", *QUICK]) == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert found in said[-1]
    assert said[-1].startswith("policy-distill: ")


def test_one_task_of_several_is_taken_along_and_the_report_says_which(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (several,) = MANY
    words = ["transfer", str(several), "--env", "Pendulum-v1", "--out", "moved", *BY_REWARD, "--track", "disabled"]
    assert main([*words, "--task", "narrow"]) == 0
    assert "layer 1  copied" in capfd.readouterr().err
    assert f"policy-distill transfer {several} --task narrow" in (tmp_path / "moved" / "report.html").read_text()
    first = load_student(several).task("narrow").tensors["network.0.weight"].shape
    assert load_student(tmp_path / "moved" / "student.safetensors").tensors["network.0.weight"].shape == first
    for more, found in (
        ([], "expected one task, found a student of 2: narrow, wide; choose one with --task NAME"),
        (["--task", "walk"], "expected a task among narrow, wide, found 'walk'"),
    ):
        assert main([*words, *more, "--overwrite"]) == 2
        said = capfd.readouterr().err.strip().splitlines()
        assert len(said) == 1 and found in said[0]


def test_a_transfer_that_is_interrupted_goes_on_by_the_words_that_it_says(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    words = ["transfer", str(MANY[0]), "--task", "narrow", "--env", "Pendulum-v1", *BY_REWARD, "--track", "disabled"]
    assert main([*words, "--out", "whole"]) == 0
    learn = PPOSession.learn

    def interrupted(self, *given):
        if self.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return learn(self, *given)

    with monkeypatch.context() as once:
        once.setattr(PPOSession, "learn", interrupted)
        once.setattr(sys, "argv", ["policy-distill", *words, "--out", "stopped"])
        assert main([*words, "--out", "stopped"]) == 130
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert "the checkpoint is written" in said
    assert not (tmp_path / "stopped" / "student.safetensors").exists()
    asked = shlex.split(said.partition("go on with: ")[2])
    assert asked[0] == "policy-distill" and main(asked[1:]) == 0
    first, second = ((tmp_path / name / "student.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert first == second
