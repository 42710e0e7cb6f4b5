"""Frames that are stacked once they are normalised: the Zoo's own order, exactly."""

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.run.distill import distill
from policy_distill.student.runtime import load_student
from policy_distill.teachers.load import load_teacher
from tests.layouts import configure, statistics

N_STACK = 3


def vector(n_envs=1):
    return DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")] * n_envs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a model that was trained as the Zoo trains, and its run folder."""
    folder = tmp_path_factory.mktemp("zoo") / "Pendulum-v1_1"
    env = VecFrameStack(VecNormalize(vector(2)), N_STACK)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, device="cpu", seed=0, policy_kwargs={"net_arch": [8]})
    model.learn(128)
    configure(folder / "Pendulum-v1", {"normalize": True, "frame_stack": N_STACK}, {"env": "Pendulum-v1"})
    model.save(folder / "Pendulum-v1.zip")
    statistics(model, folder / "Pendulum-v1" / "vecnormalize.pkl")
    return model, folder


def stacked(model):
    """Return an environment as the Zoo plays it, with the model's statistics fixed."""
    env = VecFrameStack(VecNormalize(vector(), training=False, norm_reward=False), N_STACK)
    env.venv.obs_rms = model.get_vec_normalize_env().obs_rms
    return env


@pytest.mark.parametrize("kind", ["file", "live", "named"])
def test_a_teacher_of_normalised_frames_sees_what_the_zoos_does_from_the_first_step_on(trained, kind):
    model, folder = trained
    named = {"wrappers": [f"FrameStack:n_stack={N_STACK}"], "vecnormalize": folder / "Pendulum-v1" / "vecnormalize.pkl"}
    sources = {"file": (folder, {}), "live": (model, {}), "named": (folder / "Pendulum-v1.zip", named)}
    source, options = sources[kind]
    teacher = load_teacher(source, env="Pendulum-v1", **options)
    theirs, ours = stacked(model), open_environments("Pendulum-v1", 1, teacher.env_wrappers)
    theirs.seed(5)
    seen = theirs.reset()
    ours.reset(0, 5)
    for _ in range(N_STACK + 2):
        # The first frames are blank: the Zoo's zeros, exactly.
        assert np.allclose(teacher.normalizer(ours.obs), seen, rtol=0, atol=1e-6)
        assert np.array_equal(teacher.normalizer(ours.obs) == 0, seen == 0)
        expected, _ = model.predict(seen, deterministic=True)
        action, _ = teacher.predict(ours.obs, deterministic=True)
        assert np.allclose(action, expected, atol=1e-5)
        seen = theirs.step(expected)[0]
        ours.step(expected)


def test_a_student_of_such_a_teacher_carries_the_blank_frames_in_its_file(trained, tmp_path):
    model, folder = trained
    teacher = load_teacher(folder)
    small = {"timesteps": 128, "n_steps": 16, "eval_episodes": 0, "select_episodes": 0, "n_envs": 2}
    distill(teacher, "Pendulum-v1", "mlp:4", out=tmp_path / "run", **small)
    student = load_student(tmp_path / "run" / "student.safetensors")
    (spec,) = student.env_wrappers
    assert spec["kwargs"]["blank"] == model.get_vec_normalize_env().obs_rms.mean.tolist()
    envs = open_environments("Pendulum-v1", 1, student.env_wrappers)
    envs.reset(0, 5)
    assert student.plan.featurizer(envs.obs)[0, :6].tolist() == [0.0] * 6


def test_frames_stacked_first_are_normalised_as_stacks(tmp_path):
    env = VecNormalize(VecFrameStack(vector(), N_STACK))
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=32, device="cpu", policy_kwargs={"net_arch": [8]}).learn(32)
    model.save(tmp_path / "agent.zip")
    statistics(model, tmp_path / "vecnormalize.pkl")
    teacher = load_teacher(tmp_path, env="Pendulum-v1", wrappers=[f"FrameStack:n_stack={N_STACK}"])
    assert teacher.env_wrappers == [{"name": "FrameStack", "kwargs": {"n_stack": N_STACK}}]
    assert np.array_equal(teacher.normalizer.mean, env.obs_rms.mean)


@pytest.mark.parametrize("raw", [False, True])
def test_a_vector_that_stacks_frames_itself_is_refused_since_its_first_frames_differ(trained, raw):
    model, folder = trained
    env = VecFrameStack(vector(), N_STACK) if raw else model.get_env()
    with pytest.raises(RequestError, match=f"pass the environment's id.*FrameStack:n_stack={N_STACK}"):
        load_teacher(folder, env=env)
    with pytest.raises(RequestError, match="pass the environment's id"):
        evaluate(load_teacher(folder), env, 2)


def test_statistics_of_another_number_of_frames_are_refused(trained):
    _, folder = trained
    with pytest.raises(RequestError, match=r"shape \(3,\), expected \(9,\)"):
        load_teacher(folder, wrappers=["FrameStack:n_stack=2"])
