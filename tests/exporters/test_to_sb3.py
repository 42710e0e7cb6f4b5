import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.errors import RequestError
from policy_distill.exporters.export import export
from policy_distill.exporters.sb3 import Spaces
from policy_distill.student.runtime import Student
from policy_distill.teachers.load import load_teacher
from tests.doubles import cartpole_teacher, pendulum_teacher
from tests.students import KINDS, make_student, sample_observations
from tests.teachers.test_every_teacher import QUICK, make_env, make_model
from tests.training.test_policy import make_policy, observations


@pytest.mark.parametrize("make", [cartpole_teacher, pendulum_teacher])
@pytest.mark.parametrize("network", ["linear", "mlp:8,4"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_ppo_model_starts_as_the_student(make, network, activation, tmp_path):
    teacher = make()
    policy = make_policy(teacher, network, activation)
    student = Student.of(policy.to_record({}))
    env_id = "CartPole-v1" if make is cartpole_teacher else "Pendulum-v1"
    model = student.to_sb3(env_id)
    obs = observations(teacher)
    expected, _ = student.predict(obs, deterministic=True)
    assert np.allclose(model.predict(obs, deterministic=True)[0], expected, atol=1e-5)
    with torch.no_grad():
        params, tensor = policy(obs), torch.from_numpy(obs)
        actions = policy.spec.family.sample(params, torch.Generator().manual_seed(0))
        theirs = model.policy.get_distribution(tensor).log_prob(actions)
    assert torch.allclose(theirs, policy.spec.family.log_prob(params, actions), atol=1e-4)
    model.save(tmp_path / "student.zip")
    loaded = PPO.load(tmp_path / "student.zip", device="cpu")
    assert np.allclose(loaded.predict(obs, deterministic=True)[0], expected, atol=1e-5)


def test_a_ppo_model_trains_on_and_is_evaluated():
    model = Student.of(make_policy(cartpole_teacher()).to_record({})).to_sb3("CartPole-v1")
    before = model.policy.action_net.weight.detach().clone()
    model.learn(64)
    assert not torch.equal(model.policy.action_net.weight, before)
    assert evaluate_policy(model, model.get_env(), n_eval_episodes=1)[0] > 0


@pytest.mark.parametrize("algorithm", ["sac", "td3"])
def test_a_squashed_student_keeps_its_actions(algorithm):
    from policy_distill.run.distill import distill

    case = (algorithm, "box", "vector", {})
    student = distill(load_teacher(make_model(case)), make_env(case), "mlp:6", **QUICK).student
    model = student.to_sb3(make_env(case)())
    obs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected, _ = student.predict(obs, deterministic=True)
    assert np.allclose(model.predict(obs, deterministic=True)[0], expected, atol=1e-4)


def test_a_student_of_images_trains_on():
    from policy_distill.run.distill import distill

    case = ("ppo", "discrete", "image_last", {})
    student = distill(load_teacher(make_model(case)), make_env(case), "cnn:4", activation="relu", **QUICK).student
    model = student.to_sb3(make_env(case)())
    obs = np.stack([make_env(case)().observation_space.sample() for _ in range(20)])
    expected, _ = student.predict(obs, deterministic=True)
    assert np.array_equal(model.predict(obs, deterministic=True)[0], expected)
    before = model.policy.features_extractor.convolutions[0].weight.detach().clone()
    model.n_steps = model.rollout_buffer.buffer_size = 16
    model.learn(16)
    assert not torch.equal(model.policy.features_extractor.convolutions[0].weight, before)


def test_a_student_that_sb3_cannot_hold_is_refused():
    for kind, reason in (
        (("vector", "offset", "linear", "tanh"), "start at 0"),
        (("vector", "deterministic_free", "linear", "tanh"), "bounds"),
    ):
        with pytest.raises(RequestError, match=reason):
            make_student(kind).to_sb3("CartPole-v1")


@pytest.mark.parametrize(
    "kind",
    [
        ("vector", "discrete", "mlp:16,8", "tanh"),
        ("vector", "squashed", "mlp:16,8", "relu"),
        ("image_last", "multi_discrete", "cnn:4", "tanh"),
        ("dict", "gaussian", "mlp:8", "tanh"),
    ],
)
def test_an_exported_student_is_a_teacher_without_trust(kind, tmp_path):
    student = make_student(kind)
    path = export(student, tmp_path / "student.zip", "sb3", n_states=32).path
    teacher = load_teacher(path)
    obs = sample_observations(kind, 32)
    actions, _ = teacher.predict(obs, deterministic=True)
    assert np.allclose(actions, student.predict(obs, deterministic=True)[0], atol=1e-5)
    assert teacher.provenance["algorithm"] == "ppo"


@pytest.mark.parametrize("change", [{"squash": load_teacher}, {"features_extractor_kwargs": {"parts": torch.nn.Tanh}}])
def test_an_exported_student_with_other_than_plain_values_is_refused(change, tmp_path):
    model = make_student(("vector", "squashed", "mlp:8", "tanh")).to_sb3(Spaces(make_student(KINDS[6])))
    model.policy_kwargs |= change
    model.save(tmp_path / "student.zip")
    with pytest.raises(RequestError, match=r"trusted|not plain values"):
        load_teacher(tmp_path / "student.zip")


def test_an_environment_that_normalises_is_refused_since_the_student_does(tmp_path):
    student = Student.of(make_policy(cartpole_teacher()).to_record({}))
    vec_env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    with pytest.raises(RequestError, match=r"student normalises them itself, found a VecNormalize: pass env\.venv"):
        student.to_sb3(vec_env)
    assert student.to_sb3(vec_env.venv) is not None
    vec_env.norm_obs = False
    assert student.to_sb3(vec_env) is not None
