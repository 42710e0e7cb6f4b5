"""The teacher by sampling, where it is measured beside its mode, and where it takes its place."""

import json
import logging

import gymnasium
import numpy as np
import pytest
import torch

from policy_distill.cli import main
from policy_distill.config import make_config
from policy_distill.errors import RequestError
from policy_distill.evaluation.compare import compare
from policy_distill.evaluation.contexts.robustness import compare_under
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.run.distill import distill
from policy_distill.teachers.load import load_teacher
from tests.doubles import FormulaTeacher, cartpole_teacher
from tests.teachers.test_every_teacher import QUICK, make_env, make_model

REWARDS = np.array([0.0, 0.0, 0.0, 3.0, 5.0])


class Rungs(gymnasium.Env):
    """Ten steps; each action has a reward of its own."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.ones(1, np.float32), float(REWARDS[action]), self.t >= 10, False, {}


def hesitant(best=0.5):
    """Return a teacher whose mode gains 3 in each step, and who would gain more by sampling what gains 5 as often."""
    share = np.array([[0.05 / 3, 0.05 / 3, 0.05 / 3, best, 0.95 - best]])
    return FormulaTeacher(Rungs.observation_space, Rungs.action_space, np.log(share))


def test_a_teacher_that_is_better_by_sampling_is_told_of(caplog):
    with caplog.at_level(logging.WARNING, "policy_distill"):
        kept = compare(hesitant(), hesitant(), Rungs, 60)
    (message,) = [one.getMessage() for one in caplog.records if "by sampling" in one.getMessage()]
    assert "30.0" not in message.split("by sampling, ")[0] and "--stochastic" in message and "\n" not in message
    assert kept.mean == 1.0
    caplog.clear()
    with caplog.at_level(logging.WARNING, "policy_distill"):
        compare(hesitant(), hesitant(), Rungs, 60, sampled_teacher=False)
        compare(hesitant(), hesitant(), Rungs, 60, stochastic=True)
        compare(cartpole_teacher(), cartpole_teacher(), "CartPole-v1", 10)
    assert not [one for one in caplog.records if "by sampling" in one.getMessage()]


def test_the_difference_is_that_of_the_same_episodes():
    found = compare_policies(hesitant(), hesitant(), Rungs, ProofPlan(40, 7, n_sampled=30))
    beside = found.teacher_sampled
    assert (beside.sampled.seed, beside.sampled.n_episodes, found.teacher.n_episodes) == (7, 30, 40)
    expected = evaluate(hesitant(), Rungs, 30, 7, deterministic=False).returns
    assert beside.sampled.returns.mean() == pytest.approx(expected.mean(), abs=4 * expected.std() * (2 / 30) ** 0.5)
    assert beside.difference == pytest.approx(beside.sampled.mean - 30.0)
    # Ten steps of 3 with a half, 5 with 0.45.
    assert beside.sampled.mean == pytest.approx(37.5, abs=4 * beside.sampled.std / 30**0.5)


def test_both_act_by_sampling_where_that_is_asked_for():
    runs = [compare_policies(hesitant(), hesitant(0.9), Rungs, ProofPlan(40, 7, stochastic=True)) for _ in range(2)]
    found = runs[0]
    assert found.teacher_sampled is None
    assert found.teacher.mean == pytest.approx(37.5, abs=4 * found.teacher.std / 40**0.5)
    assert found.student.mean == pytest.approx(29.5, abs=4 * found.student.std / 40**0.5)
    assert found.scale.teacher.std() > 0, "the scale is that of who is compared"
    for who in ("teacher", "student", "random"):
        assert getattr(runs[1], who).returns.tolist() == getattr(found, who).returns.tolist()


def test_batches_draw_anew():
    found = compare_policies(
        hesitant(), hesitant(), Rungs, ProofPlan(64, 0, batch=32, stochastic=True, worst_loss=40.0)
    )
    returns = found.teacher.returns
    assert len(returns) == 64
    assert returns[:32].tolist() != returns[32:].tolist()


def test_under_perturbations_the_teacher_is_sampled_once():
    found = compare_under(hesitant(), hesitant(), Rungs, "sticky:0.2,action-noise:0.1", 8, 0, n_sampled=5)
    assert [one.teacher_sampled is not None for one in found.values()] == [True, False, False]


def test_a_run_measures_it_and_its_student_is_the_same_without(tmp_path):
    settings = {**QUICK, "eval_episodes": 12}
    result = distill(hesitant(), Rungs, "linear", out=tmp_path / "run", **settings)
    record = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    one = record["teacher_sampled"]
    assert {"mean", "std", "iqm", "ci95", "n_episodes", "env_steps", "difference"} <= set(one)
    assert one["n_episodes"] == record["teacher"].get("n_episodes", 12)
    assert one["mean"] == result.comparison.teacher_sampled.sampled.mean > record["teacher"]["mean"]
    assert "teacher by sampling" in (tmp_path / "run" / "report.html").read_text()
    assert result.seconds["teacher_sampled"] > 0
    without = distill(hesitant(), Rungs, "linear", sampled_teacher=False, **settings)
    assert "teacher_sampled" not in without.evaluation
    assert all(np.array_equal(one, without.student.tensors[name]) for name, one in result.student.tensors.items())
    with pytest.raises(RequestError, match="sampled_teacher must be true or false"):
        make_config(None, {"sampled_teacher": 1})


@pytest.mark.parametrize(("name", "action"), [("dqn", "discrete"), ("td3", "box"), ("ars", "discrete")])
def test_a_teacher_without_a_distribution_is_left_out(name, action):
    case = (name, action, "vector", {})
    result = distill(load_teacher(make_model(case)), make_env(case), "mlp:4", **QUICK)
    assert result.comparison.teacher_sampled is None
    assert "teacher_sampled" not in result.evaluation


def test_a_run_goes_on_whether_the_teacher_is_sampled_or_not(tmp_path):
    distill(hesitant(), Rungs, "linear", out=tmp_path / "run", **QUICK)
    again = distill(hesitant(), Rungs, "linear", out=tmp_path / "run", resume=True, sampled_teacher=False, **QUICK)
    assert "teacher_sampled" not in again.evaluation


def test_the_command_line_shows_it_and_leaves_it_out_where_told(tmp_path, capfd):
    student = distill(cartpole_teacher(), "CartPole-v1", "mlp:4", **{**QUICK, "eval_episodes": 0}).student
    student.save(tmp_path / "student.safetensors")
    make_cartpole(tmp_path / "teacher.zip")
    words = ["compare", str(tmp_path / "teacher.zip"), str(tmp_path / "student.safetensors"), "--env", "CartPole-v1"]
    words += ["--episodes", "4"]
    assert main([*words, "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["teacher_sampled"]["n_episodes"] == 4
    assert record["deterministic"] is True
    assert main([*words]) == 0
    assert "teacher by sampling" in capfd.readouterr().out
    for option in ("--stochastic", "--no-sampled-teacher"):
        assert main([*words, option, "--json"]) == 0
        record = json.loads(capfd.readouterr().out)
        assert "teacher_sampled" not in record
        assert record["deterministic"] is (option != "--stochastic")
    assert main([*words, "--stochastic"]) == 0
    assert "teacher and student by sampling" in capfd.readouterr().out


def make_cartpole(path):
    from stable_baselines3 import PPO

    torch.manual_seed(0)
    PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": [8]}).save(path)
