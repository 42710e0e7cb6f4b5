"""Who steps environments can be replaced: by a process beside, and by a record."""

import multiprocessing
from collections import deque
from contextlib import closing
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

from policy_distill.collection.actors import RandomPolicy
from policy_distill.collection.collector import Collector
from policy_distill.collection.rollout import COLUMNS
from policy_distill.config import DistillConfig
from policy_distill.environments.open import open_environments
from policy_distill.run.stream import Stream
from policy_distill.system.nested import equal, map_arrays
from tests.doubles import Corridor, cartpole_teacher
from tests.teachers.test_devices import AWAY, Elsewhere

CONFIG = DistillConfig(timesteps=512, n_envs=2, n_steps=40, seed=5)


class Recorded:
    """Rollouts that were collected before, handed out again."""

    env_seconds = 0.0

    def __init__(self, rollouts):
        self.rollouts, self.n_taken, self.returns = rollouts, 0, deque()

    def begin(self):
        self.n_taken = 0

    def collect(self, actor, n_steps, deterministic, teacher_share, *, masked=False, columns=()):
        self.n_taken += 1
        return self.rollouts[self.n_taken - 1]

    def state(self):
        return {"n_taken": np.array(self.n_taken)}, {"obs": None, "actor": {"value": None}}

    def restore(self, arrays, record):
        self.n_taken = int(arrays["n_taken"])

    def go_on(self, obs, on_step=None):
        return {}

    def lost(self):
        return {}

    def mark(self):
        return self.n_taken

    def go_back(self, mark):
        self.n_taken = mark

    def close(self):
        pass


class OnADevice(Collector):
    """Has what it collects as tensors elsewhere."""

    def collect(self, *arguments, **options):
        found = super().collect(*arguments, **options)
        parts = {"obs": found.obs, "columns": dict(found.columns)}
        return replace(found, **map_arrays(lambda array: torch.from_numpy(array).as_subclass(Elsewhere), parts))


class Beside(Recorded):
    """Collects in a process of its own, which has the environments; asked by name, it answers with what came."""

    def __init__(self, env_id, config):
        super().__init__([])
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=self.serve, args=(theirs, env_id, config))
        self.process.start()

    def serve(self, pipe, env_id, config):
        source = Collector(open_environments(env_id, config.n_envs), config.seed)
        while (question := pipe.recv()) is not None:
            name, arguments, options = question
            pipe.send(getattr(source, name)(*arguments, **options))

    def ask(self, name, *arguments, **options):
        self.pipe.send((name, arguments, options))
        return self.pipe.recv()

    def collect(self, *arguments, **options):
        return self.ask("collect", *arguments, **options)

    def state(self):
        return self.ask("state")

    def close(self):
        self.pipe.send(None)
        self.process.join()


def acts(seed=0):
    return RandomPolicy(gymnasium.spaces.Discrete(2), CONFIG.n_envs, seed)


class Hasty:
    """Falls soon; without a generator, it acts alike in any process."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return (observation[:, 1] > 0).astype(np.int64), state


def labelled(source, n_rollouts=3):
    """Return what a stream makes of a source: observations, labels and features."""
    with closing(open_environments("CartPole-v1", CONFIG.n_envs)) as envs:
        stream, found = Stream(cartpole_teacher(), envs, CONFIG, "mlp:4", source), []
        for _ in range(n_rollouts):
            rollout = stream.collect(Hasty(), 0.0, greedy=False)
            params, features = stream.label(rollout), stream.features(rollout)
            stream.store(rollout, features, params)
            found.append((rollout, params, features))
        return found, stream.source.state()


def test_a_stream_takes_any_source():
    here, (arrays, record) = labelled(None)
    with closing(Beside("CartPole-v1", CONFIG)) as beside:
        there, (arrays_there, record_there) = labelled(beside)
    again, _ = labelled(Recorded([rollout for rollout, *_ in here]))
    for one, other, third in zip(here, there, again, strict=True):
        assert equal(one[0].obs, other[0].obs)
        assert equal(one[0].episode_starts, other[0].episode_starts)
        for other_one in (other, third):
            assert torch.equal(one[1], other_one[1])
            assert torch.equal(one[2], other_one[2])
    assert record == record_there
    assert equal(arrays, arrays_there)


def test_a_source_goes_on_from_its_state_in_one_that_was_just_opened():
    whole = Collector(open_environments("CartPole-v1", 2), 3)
    whole.collect(acts(), 50, False, 0.0)
    arrays, record = whole.state()
    other = Collector(open_environments("CartPole-v1", 2), 3)
    assert other.go_on(other.restore({name: array.copy() for name, array in arrays.items()}, record)) == {}
    one, two = (source.collect(acts(1), 70, False, 0.0) for source in (whole, other))
    assert equal(one.obs, two.obs)
    assert equal(one.episode_starts, two.episode_starts)
    assert list(whole.returns) == list(other.returns)


def test_a_mark_is_where_it_goes_back_to():
    source = Collector(open_environments("CartPole-v1", 2), 3)
    source.collect(acts(), 30, False, 0.0)
    arrays, record = source.state()
    before = {name: array.copy() for name, array in arrays.items()}
    mark = source.mark()
    source.collect(acts(1), 60, False, 0.0)
    assert source.n_episodes.sum() > before["collector.n_episodes"].sum()
    source.go_back(mark)
    found, record_after = source.state()
    assert equal(found, before)
    assert record == record_after


def test_columns_that_nobody_asked_for_are_not_there():
    rollout = Collector(open_environments(Corridor, 2), 0).collect(acts(), 25, False, 0.0)
    assert rollout.columns == {}
    rollout = Collector(open_environments(Corridor, 2), 0).collect(acts(), 25, False, 0.0, columns=["rewards"])
    assert list(rollout.columns) == ["rewards"]
    with pytest.raises(ValueError, match=r"expected columns among actions, .* found regret"):
        Collector(open_environments(Corridor, 2), 0).collect(acts(), 5, False, 0.0, columns=["regret"])


class Limited(Corridor):
    """Ends after ten steps, and is cut after four in every second episode."""

    n_begun = 0

    def reset(self, *, seed=None, options=None):
        self.n_begun += 1
        return super().reset(seed=seed, options=options)

    def step(self, action):
        obs, reward, ended, _, info = super().step(action)
        return obs, reward, ended, self.n_begun % 2 == 0 and self.t == 4, info


def sync(mode):
    return lambda: SyncVectorEnv([Limited] * 2, autoreset_mode=mode)


@pytest.mark.parametrize(
    "make",
    [lambda: Limited, lambda: DummyVecEnv([Limited] * 2), *map(sync, AutoresetMode)],
    ids=["list", "SB3", *(mode.name for mode in AutoresetMode)],
)
def test_columns_hold_what_was_done_and_what_it_led_to(make):
    envs = open_environments(make(), 2)
    rollout = Collector(envs, 0).collect(acts(), 40, False, 0.0, columns=COLUMNS)
    columns = rollout.columns
    ended = columns["terminated"] | columns["truncated"]
    # The step that only restarts an environment has no reward, whatever the action.
    restarts = np.zeros_like(ended)
    if getattr(envs, "_mode", None) == AutoresetMode.NEXT_STEP:
        restarts[1:] = ended[:-1]
    assert equal(columns["rewards"][~restarts], columns["actions"][~restarts].astype(np.float64))
    last = columns["terminal_obs"]
    assert np.allclose(last[columns["terminated"]][:, 0], 1.0)
    assert np.allclose(last[columns["truncated"]][:, 0], 0.4)
    assert not last[~ended].any()
    assert columns["terminated"].sum() >= 2
    assert columns["truncated"].sum() >= 2
    assert columns["rewards"].dtype == np.float64
    assert columns["terminated"].dtype == columns["truncated"].dtype == bool


def test_columns_of_a_dict_are_dicts():
    class Pair(Limited):
        def __init__(self):
            super().__init__()
            self.plain = self.observation_space
            self.observation_space = gymnasium.spaces.Dict(a=self.plain, b=self.plain)

        def _obs(self):
            one = super()._obs()
            return {"a": one, "b": one + 1}

    rollout = Collector(open_environments(Pair, 2), 0).collect(acts(), 12, False, 0.0, columns=["terminal_obs"])
    assert np.allclose(rollout.columns["terminal_obs"]["b"][9, :, 0], 2.0)
    assert not rollout.columns["terminal_obs"]["b"][:9].any()


def test_what_a_source_has_on_a_device_of_its_own_is_labelled_and_stored_as_what_is_here():
    found = []
    for make in (Collector, OnADevice):
        teacher = cartpole_teacher()
        with closing(open_environments("CartPole-v1", CONFIG.n_envs)) as envs:
            stream = Stream(teacher, envs, CONFIG, "mlp:4", make(envs, CONFIG.seed), columns=("rewards",))
            rollout = stream.collect(teacher, 1.0, greedy=True)
            labels = stream.label(rollout)
            stream.store(rollout, stream.features(rollout), labels)
            found.append((rollout.obs, labels.numpy(), stream.buffer.state()))
    assert equal(*({"obs": obs, "labels": labels, **state} for obs, labels, state in found))


def test_a_rollout_says_where_its_observations_lie():
    with closing(open_environments("CartPole-v1", 2)) as envs:
        here = Collector(envs, 0).collect(cartpole_teacher(), 4, True, 1.0)
        there = OnADevice(envs, 0).collect(cartpole_teacher(), 4, True, 1.0)
    assert (here.device.type, there.device) == ("cpu", AWAY)
    assert here.as_arrays() is here and there.as_arrays().device.type == "cpu"
    assert equal(there.as_arrays().obs, here.obs)
