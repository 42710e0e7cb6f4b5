"""Experiments on students of images: what they are made of, and that they run from a teacher to a table."""

import importlib
import json

import numpy as np
import pytest

from policy_distill.environments.frame_stack import frames_of
from policy_distill.environments.open import open_environments
from policy_distill.environments.perturbations.conditions import parse_conditions
from policy_distill.run.distill import distill
from policy_distill.student.runtime import load_student
from policy_distill.teachers.load import load_teacher
from policy_distill.teachers.train import train_teacher
from tests.experiments.test_experiments import QUIET, run

QUICK = ["--timesteps", "64", "--n-steps", "8", "--eval-episodes", "2", "--select-episodes", "0", "--n-epochs", "1"]
pong = pytest.importorskip("envs.pong", reason="Atari is not installed")
breakout = pytest.importorskip("envs.minatar_breakout", reason="MinAtar is not installed")


@pytest.mark.parametrize("name", ["pong", "minatar_breakout"])
def test_it_says_how_it_is_run_and_which_conditions_stand_beside(name):
    assert f"python -m experiments.{name} " in importlib.import_module(f"experiments.{name}").__doc__
    env = importlib.import_module(f"envs.{name}")
    noise, sticky = parse_conditions(env.PERTURB)
    n_actions = open_environments(env.ENV_ID, 1).action_space.n
    # Of uniformly random actions, one in n is the one that it replaces.
    ((kind, share),) = noise.wrappers
    assert kind == "action-noise" and share == pytest.approx(env.EPSILON * (n_actions - 1) / n_actions, abs=1e-4)
    assert "0.25" in sticky.name


def test_frames_of_pong_are_stacked_and_sticky_actions_are_those_of_ale():
    envs = open_environments(pong.ENV_ID, 1)
    assert envs.observation_space.shape == (4, 84, 84) and frames_of(envs) == 4
    _, condition = parse_conditions(pong.PERTURB)
    sticky = condition.maker(pong.ENV_ID)()
    assert sticky.unwrapped.ale.getFloat("repeat_action_probability") == 0.25
    assert pong.make().unwrapped.ale.getFloat("repeat_action_probability") == 0.0


def test_pong_in_one_vector_is_pong_in_gymnasiums_wrappers_without_no_ops():
    alone, together = [pong.make(n_noops=0) for _ in range(2)], pong.vector(2, n_noops=0)
    seen = np.stack([env.reset(seed=3 + i)[0] for i, env in enumerate(alone)])
    assert np.array_equal(together.reset(seed=3)[0], seen)
    rng, points = np.random.default_rng(0), 0
    for _ in range(150):
        actions = rng.integers(6, size=2)
        steps = [env.step(int(action)) for env, action in zip(alone, actions, strict=True)]
        obs, rewards, terminated, truncated, _ = together.step(actions)
        assert np.array_equal(obs, np.stack([step[0] for step in steps]))
        assert rewards.tolist() == [step[1] for step in steps]
        assert not (terminated | truncated).any() and not any(step[2] or step[3] for step in steps)
        points += np.abs(rewards).sum()
    assert points > 0


def test_a_student_of_pong_can_be_collected_in_one_vector(tmp_path):
    teacher = tiny_dqn(tmp_path)
    quick = {"timesteps": 128, "n_steps": 16, "eval_episodes": 0, "n_epochs": 1, "seed": 5}
    student = distill(teacher, pong.vector(4), "cnn:4", **quick).student
    assert student.observation_space == teacher.observation_space
    again = distill(teacher, pong.vector(4), "cnn:4", **quick).student
    assert all(np.array_equal(array, again.tensors[name]) for name, array in student.tensors.items())


def tiny_dqn(folder):
    recipe, zip_path = pong.TEACHERS["dqn"], folder / "teacher.zip"
    small = {**recipe.hyperparameters, "buffer_size": 100, "learning_starts": 8}
    train_teacher(pong.ENV_ID, recipe.algo, 16, recipe.net_arch, 0, zip_path, n_envs=1, hyperparameters=small)
    return load_teacher(zip_path, env=pong.ENV_ID, temperature=0.01)


@pytest.mark.slow
def test_pong_runs_from_a_teacher_of_action_values_to_its_table(tmp_path):
    teacher = tiny_dqn(tmp_path)
    out = tmp_path / "run"
    short = ["--max-episode-steps", "12", "--n-envs", "2"]
    done = run("pong", "--teacher", str(tmp_path / "teacher.zip"), "--out", str(out), *QUICK, *QUIET, *short)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in pong.PERTURB.split(","))
    student = load_student(out / "seed-0" / "student.safetensors")
    record = json.loads((out / "seed-0" / "evaluation.json").read_text())
    assert student.n_params <= 56_000 and record["teacher"]["n_params"] >= 30 * student.n_params
    assert student.metadata["provenance"]["teacher"]["temperature"] == teacher.temperature == 0.01


@pytest.mark.slow
def test_breakout_runs_from_its_own_network_to_its_table(tmp_path):
    # One rollout of its 64 environments.
    arguments = ["--teacher-timesteps", "8192", "--out", str(tmp_path), *QUICK, *QUIET, "--perturb"]
    done = run("minatar_breakout", *arguments)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in breakout.PERTURB.split(","))
    record = json.loads((tmp_path / "seed-0" / "evaluation.json").read_text())
    assert record["teacher"]["n_params"] >= 30 * record["student"]["n_params"]
    refused = run("minatar_breakout", "--teacher", str(tmp_path / "teacher.zip"), "--out", str(tmp_path / "b"), *QUIET)
    assert refused.returncode == 2 and "SmallCNN" in refused.stderr and "--trust" in refused.stderr
