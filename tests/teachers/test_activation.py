import pytest
from stable_baselines3 import DQN, PPO, SAC
from torch import nn

from policy_distill.run.distill import distill
from policy_distill.teachers.activation import USUAL, activation_for
from policy_distill.teachers.kinds.ensemble import EnsembleTeacher
from policy_distill.teachers.kinds.student import StudentTeacher
from policy_distill.teachers.load import load_teacher
from tests.doubles import cartpole_teacher


def ppo(activation):
    settings = {"net_arch": [4], "activation_fn": activation}
    return load_teacher(PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, policy_kwargs=settings))


@pytest.mark.parametrize(("activation", "name"), [(nn.Tanh, "tanh"), (nn.ReLU, "relu"), (nn.ELU, USUAL)])
def test_a_student_bends_like_its_teacher(activation, name):
    assert activation_for("auto", ppo(activation)) == name


def test_agents_that_learn_off_the_policy_are_known_too():
    assert (
        activation_for("auto", load_teacher(DQN("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [4]}))) == "relu"
    )
    assert (
        activation_for("auto", load_teacher(SAC("MlpPolicy", "Pendulum-v1", policy_kwargs={"net_arch": [4]}))) == "relu"
    )


def test_what_is_asked_for_is_taken():
    assert activation_for("tanh", ppo(nn.ReLU)) == "tanh"


def test_a_teacher_without_a_network_leaves_the_usual_one():
    assert activation_for("auto", cartpole_teacher()) == USUAL


def test_several_teachers_have_to_agree():
    assert activation_for("auto", EnsembleTeacher([ppo(nn.ReLU), ppo(nn.ReLU)])) == "relu"
    assert activation_for("auto", EnsembleTeacher([ppo(nn.ReLU), ppo(nn.Tanh)])) == USUAL


def test_the_student_of_a_student_bends_like_it():
    settings = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 0}
    first = distill(ppo(nn.ReLU), "CartPole-v1", "mlp:4", **settings).student
    assert first.metadata["architecture"]["activation"] == "relu"
    assert activation_for("auto", StudentTeacher(first)) == "relu"
