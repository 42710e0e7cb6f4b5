import json
import logging
from contextlib import closing

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import WrapperSpec
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import ClipReward, NormalizeObservation, NormalizeReward, TransformReward
from gymnasium.wrappers import vector as vector_wrappers
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from policy_distill import compare, load_student
from policy_distill.cli import main
from policy_distill.environments.frozen_normalization import FrozenNormalization
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.exporters.states import own_env
from policy_distill.run.distill import distill
from policy_distill.system import notices
from tests.doubles import Corridor, corridor_teacher, pendulum_teacher


class Worn(Corridor):
    """Its observations are far from 0, so that it matters how they are normalised; action 1 gives 4."""

    def _obs(self):
        return 50.0 + 10.0 * super()._obs()

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, 4.0 * reward, *rest


class Wide(Worn):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)


def trained():
    """An environment whose wrapper has seen ten episodes, as after a training."""
    env = NormalizeObservation(Wide())
    for seed in range(10):
        env.reset(seed=seed)
        while not env.step(1)[2]:
            pass
    return env


def wrapped_teacher():
    teacher = corridor_teacher()
    teacher.observation_space = NormalizeObservation(Wide()).observation_space
    return teacher


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(notices, "SAID", set())


def test_statistics_of_a_trained_wrapper_are_frozen_while_it_is_judged_and_run_on_after(caplog):
    env = trained()
    before = env.obs_rms.mean.copy()
    with caplog.at_level(logging.WARNING):
        evaluate(wrapped_teacher(), env, 3)
    assert np.array_equal(env.obs_rms.mean, before)
    assert env.update_running_mean, "its owner may train on"
    assert caplog.text.count("whose statistics are frozen") == 1


def test_the_student_is_told_the_statistics_that_it_was_made_with():
    env = trained()
    settings = {"timesteps": 64, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}
    done = distill(wrapped_teacher(), env, "linear", **settings)
    told = done.student.metadata["provenance"]["env_statistics"]
    mean, variance = env.obs_rms.mean, env.obs_rms.var
    assert told == [
        {
            "mean": mean.tolist(),
            "variance": variance.tolist(),
            "epsilon": env.epsilon,
            "dtype": str(mean.dtype),
        }
    ]


@pytest.fixture
def registered():
    """An id of an environment whose wrapper normalises by running statistics, and one of it that has seen episodes."""
    wrapper = WrapperSpec("NormalizeObservation", "gymnasium.wrappers:NormalizeObservation", {"epsilon": 0.5})
    gymnasium.register("Worn-v0", Wide, additional_wrappers=(wrapper,), max_episode_steps=50)
    env = gymnasium.make("Worn-v0", disable_env_checker=True)
    for seed in range(10):
        env.reset(seed=seed)
        while not any(env.step(1)[2:4]):
            pass
    yield env
    del gymnasium.registry["Worn-v0"]


def test_the_statistics_are_part_of_the_world_that_a_run_is_played_in(registered, tmp_path, capsys):
    settings = {"timesteps": 512, "n_steps": 32, "n_envs": 2, "eval_episodes": 4, "select_episodes": 0}
    distill(wrapped_teacher(), registered, "linear", out=tmp_path / "run", **settings)
    student = tmp_path / "run" / "student.safetensors"
    registered.update_running_mean = False
    again = own_env(load_student(student))
    with closing(open_environments(again, 1)) as envs:
        envs.reset(0, 3)
        assert np.array_equal(envs.obs[0], registered.reset(seed=3)[0]), "to the last bit"
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["returns"] == evaluate(str(student), registered, 3).returns.tolist()
    assert main(["export", str(student), "--format", "numpy", "--out", str(tmp_path / "np")]) == 0
    assert "from Worn-v0" in capsys.readouterr().out


def test_a_student_in_a_world_without_its_statistics_is_told_so(registered, caplog):
    settings = {"timesteps": 64, "n_steps": 16, "n_envs": 2, "eval_episodes": 0}
    student = distill(wrapped_teacher(), registered, "linear", **settings).student
    others = NormalizeObservation(Wide())
    others.obs_rms.mean, others.obs_rms.count = others.obs_rms.mean + 1.0, 5.0
    for env, found in ((Wide, "finds none here"), (lambda: others, "finds others here")):
        caplog.clear()
        evaluate(student, env, 1, n_envs=1)
        assert found in caplog.text and "FrozenNormalization" in caplog.text
        compare(student, student, env, n_episodes=1, n_envs=1)
        assert caplog.text.count(found) == 2
    caplog.clear()
    (own,) = student.metadata["provenance"]["env_statistics"]
    evaluate(student, lambda: FrozenNormalization(Wide(), **own), 1)
    assert "finds" not in caplog.text


def test_statistics_of_a_vector_that_steps_as_one_are_told_too():
    vector = vector_wrappers.NormalizeObservation(SyncVectorEnv([Wide] * 2))
    vector.reset(seed=0)
    vector.step(np.ones(2, np.int64))
    with closing(open_environments(vector, 2)) as envs:
        (told,) = envs.statistics
    assert told["mean"] == vector.obs_rms.mean.tolist()


@pytest.mark.parametrize(
    "env",
    [
        lambda: NormalizeObservation(Wide()),
        NormalizeObservation(Wide()),
        DummyVecEnv([lambda: NormalizeObservation(Wide())] * 2),
        vector_wrappers.NormalizeObservation(SyncVectorEnv([Wide] * 2)),
    ],
    ids=["callable", "instance", "sb3", "gymnasium"],
)
def test_a_wrapper_with_statistics_of_nothing_is_refused(env):
    with pytest.raises(RequestError, match="expected the observation statistics that the teacher was trained with"):
        evaluate(wrapped_teacher(), env, 2)


def test_a_callable_that_sets_the_statistics_is_taken():
    known = trained().obs_rms

    def make():
        env = NormalizeObservation(Wide())
        env.obs_rms.mean, env.obs_rms.var = known.mean, known.var
        env.update_running_mean = False
        return env

    assert evaluate(wrapped_teacher(), make, 3).mean == 40.0


@pytest.mark.parametrize(
    "wrap",
    [NormalizeReward, lambda env: TransformReward(env, lambda r: r / 10), lambda env: ClipReward(env, 0, 1)],
    ids=["normalized", "scaled", "clipped"],
)
@pytest.mark.parametrize("handed", ["callable", "instance"])
def test_returns_are_in_raw_units_below_the_wrapper(wrap, handed, caplog):
    def make():
        return wrap(Wide())

    env = make if handed == "callable" else make()
    teacher = corridor_teacher()
    teacher.observation_space = Wide().observation_space
    with caplog.at_level(logging.WARNING):
        assert evaluate(teacher, env, 3).returns.tolist() == [40.0] * 3
    assert "returns are in the units of the environment below it" in caplog.text
    if handed == "instance":
        assert type(env.env) is Wide, "left as it was"


def test_rewards_of_an_unknown_wrapper_are_said_to_be_its_own(caplog):
    class Halved(gymnasium.RewardWrapper):
        def reward(self, reward):
            return reward / 2

    with caplog.at_level(logging.WARNING):
        assert evaluate(corridor_teacher(), lambda: Halved(Corridor()), 2).mean == 5.0
    assert "the wrapper Halved: returns are in its units" in caplog.text


def test_running_rewards_of_a_vector_are_refused():
    with pytest.raises(RequestError, match="found NormalizeReward"):
        evaluate(corridor_teacher(), vector_wrappers.NormalizeReward(SyncVectorEnv([Corridor] * 2)), 2)
    envs = SubprocVecEnv([lambda: NormalizeReward(Corridor())])
    try:
        with pytest.raises(RequestError, match="found NormalizeReward"):
            evaluate(corridor_teacher(), envs, 2)
    finally:
        envs.close()


def test_environments_without_such_wrappers_are_left_alone(caplog):
    with caplog.at_level(logging.WARNING):
        evaluate(pendulum_teacher(), "Pendulum-v1", 2)
    assert not caplog.records


class Telling(Corridor):
    """An observation with a text that nobody can read."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict(place=self.observation_space, mission=spaces.Text(20))

    def _obs(self):
        return {"mission": "go on", "place": super()._obs()}


class Reads:
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        assert set(observation) == {"place"}
        return np.ones(len(observation["place"]), np.int64), state


def test_a_key_that_nobody_reads_does_not_block_the_others(caplog, tmp_path):
    from policy_distill.teachers.load import load_teacher

    with caplog.at_level(logging.WARNING):
        settings = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}
        done = distill(load_teacher(Reads(), env=Telling), Telling, "mlp:4", **settings, out=tmp_path / "run")
    assert list(done.student.observation_space.spaces) == ["place"]
    assert caplog.text.count("'mission' (Text) hold no arrays") == 1
    obs = Telling().reset(seed=0)[0]
    assert done.student.predict(obs, deterministic=True)[0] in (0, 1), "what it does not read may be there"
    vector = SyncVectorEnv([Telling] * 2)
    assert evaluate(done.student, vector, 2).n_episodes == 2


def test_where_a_key_blocks_it_is_named():
    class Mute(Telling):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Dict(mission=spaces.Text(20))

    with pytest.raises(RequestError, match="found a Dict of 'mission' \\(Text\\)"):
        open_environments(Mute, 1)
    from policy_distill.student.spaces import describe_space

    with pytest.raises(RequestError, match="found Text under key 'mission'"):
        describe_space(Telling().observation_space)


@pytest.mark.parametrize(
    "broken",
    [
        {"mean": [0.0]},
        {"mean": None},
        {"mean": [0.0, float("nan")]},
        {"variance": [1.0, -1.0]},
        {"variance": ["a", "b"]},
        {"dtype": "object"},
        {"dtype": 7},
    ],
    ids=str,
)
def test_statistics_from_a_file_that_are_none_are_refused(broken):
    right = {"mean": [0.0, 1.0], "variance": [1.0, 2.0], "epsilon": 1e-8, "dtype": "float32"}
    assert FrozenNormalization(Wide(), **right).reset(seed=0)[0].dtype == np.float32
    with pytest.raises(RequestError, match="expected mean and variance of observations of shape"):
        FrozenNormalization(Wide(), **{**right, **broken})
