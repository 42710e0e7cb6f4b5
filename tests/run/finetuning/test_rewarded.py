import gymnasium
import numpy as np
import pytest
import torch

from policy_distill import distill
from policy_distill.errors import RequestError
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import FormulaTeacher, pendulum_teacher
from tests.run.finetuning.doubles import Aim
from tests.run.test_distill import cartpole_teacher
from tests.run.test_resume import die_and_resume

QUICK = {
    **{"timesteps": 1024, "n_envs": 4, "n_steps": 32, "n_epochs": 4, "batch_size": 64},
    **{"eval_episodes": 4, "select_episodes": 2},
}


def wrong_teacher(mean=-0.5):
    """Acts near -0.5 in `Aim`, where 0.5 pays."""
    env = Aim()
    teacher = FormulaTeacher(env.observation_space, env.action_space, [[0.0], [0.0]])
    teacher.offset = mean
    label = teacher.label

    def shifted(*arguments, **options):
        found = label(*arguments, **options)
        found.params[..., 0] += mean
        return found

    teacher.label = shifted
    return teacher


def mean_action(student):
    rng = np.random.default_rng(0)
    return float(np.mean([student.act(rng.uniform(-1, 1, 2).astype(np.float32)) for _ in range(50)]))


def test_reward_takes_a_student_beyond_a_teacher_that_misses_what_pays():
    settings = {**QUICK, "timesteps": 16_384, "n_steps": 64, "eval_episodes": 0}
    plain = distill(wrong_teacher(), Aim, "mlp:8", **settings).student
    rewarded = distill(wrong_teacher(), Aim, "mlp:8", reward_weight=10.0, kl_schedule="linear", **settings).student
    assert abs(mean_action(plain) + 0.5) < 0.1
    assert mean_action(rewarded) > mean_action(plain) + 0.1


def test_without_a_weight_nothing_changes():
    one, other = (
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", **QUICK, kl_schedule=schedule).student
        for schedule in ("constant", "linear")
    )
    assert all(np.array_equal(array, other.tensors[name]) for name, array in one.tensors.items())


@pytest.mark.parametrize("settings", [{}, {"kl_schedule": "retention"}, {"buffer": "latest", "kl_schedule": "linear"}])
def test_a_run_that_died_twice_equals_one_that_did_not(tmp_path, settings):
    whole, died = die_and_resume(
        tmp_path, pendulum_teacher, lambda: "Pendulum-v1", at=(384, 768), reward_weight=0.5, **settings
    )
    assert whole == died


def test_what_both_measure_is_logged(tmp_path):
    distill(cartpole_teacher(), "CartPole-v1", "mlp:8", out=tmp_path / "run", reward_weight=0.5, **QUICK)
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "train/policy_loss" in row]
    assert rows
    assert all(row["train/kl"] >= 0.0 for row in rows)
    # 1 over the reward's weight, once more than the critic learns.
    assert rows[-1]["train/kl_weight"] == pytest.approx(2.0)


def test_the_divergence_counts_from_the_first_rollout_on_and_where_nobody_judges(tmp_path):
    settings = {**QUICK, "eval_episodes": 0, "reward_weight": 0.5}
    distill(cartpole_teacher(), "CartPole-v1", "mlp:8", out=tmp_path / "run", **settings)
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "train/kl_weight" in row]
    weights = [row["train/kl_weight"] for row in rows]
    n_critic = sum(weight == 0.0 for weight in weights)
    assert n_critic == 2 and weights[n_critic:] == [2.0] * (len(weights) - n_critic)
    # Gradient steps on all that is labelled follow each of PPO's.
    assert all("train/loss" in row and "train/grad_norm" in row for row in rows)


@pytest.mark.parametrize(
    ("student", "settings", "found"),
    [
        ("gru:4", {}, "gru:4"),
        ("tree:4", {}, "tree:4"),
        ("mlp:4", {"actor": "teacher"}, "--actor teacher"),
        ("mlp:4", {"acting": "mode"}, "--acting mode"),
        ("mlp:4", {"kl_schedule": "retention", "select_episodes": 0}, "--select-episodes 0"),
    ],
)
def test_what_reward_cannot_teach_is_refused_in_one_line(student, settings, found):
    with pytest.raises(RequestError, match=found) as error:
        distill(cartpole_teacher(), "CartPole-v1", student, reward_weight=0.5, **{**QUICK, **settings})
    assert "\n" not in str(error.value)


def test_a_script_has_no_distribution_to_sample_from():
    class Script:
        observation_space, action_space = (
            getattr(gymnasium.make("Pendulum-v1"), f"{x}_space") for x in ("observation", "action")
        )

        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.zeros((len(obs), 1), np.float32), None

    with pytest.raises(RequestError, match="only gives actions"):
        distill(Script(), "Pendulum-v1", "mlp:4", reward_weight=0.5, **QUICK)


def test_the_student_does_not_depend_on_the_global_generators():
    students = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        students.append(distill(cartpole_teacher(), "CartPole-v1", "mlp:8", reward_weight=1.0, **QUICK).student)
    one, other = students
    assert all(np.array_equal(array, other.tensors[name]) for name, array in one.tensors.items())
