import numpy as np
import pytest

from policy_distill.collection import replay as episodes_state
from policy_distill.collection.actors import RandomPolicy
from policy_distill.collection.collector import Collector
from policy_distill.collection.replay import EpisodeLog
from policy_distill.environments.open import open_environments
from policy_distill.system.nested import equal
from policy_distill.system.packing import alike, pack, unpack


def collector_in(env_id, n_steps):
    envs = open_environments(env_id, 3)
    collector = Collector(envs, 0)
    collector.collect(RandomPolicy(envs.action_space, 3, 0), n_steps, False, 0.0)
    return collector


def go_on(collector, env_id):
    """Bring other environments to where a collector is."""
    other = Collector(open_environments(env_id, 3), 0)
    other.n_episodes[:], other.running[:] = collector.n_episodes, collector.running
    other.log.restore(collector.log.arrays())
    return other, other.go_on(collector.envs.obs)


@pytest.mark.parametrize("n_steps", [1, 7, 250])
def test_environments_come_back_to_the_middle_of_their_episodes(n_steps):
    collector = collector_in("CartPole-v1", n_steps)
    other, failed = go_on(collector, "CartPole-v1")
    assert failed == {}
    assert equal(other.envs.obs, collector.envs.obs)
    actions = np.ones(3, np.int64)
    assert all(map(equal, other.envs.step(actions), collector.envs.step(actions)))
    assert equal(other.envs.obs, collector.envs.obs)


def test_only_what_running_episodes_need_is_kept():
    collector = collector_in("CartPole-v1", 250)
    arrays = collector.log.arrays()
    assert len(arrays["actions"]) == arrays["ages"].max() < 250


def test_an_episode_longer_than_what_is_remembered_restarts(monkeypatch):
    monkeypatch.setattr(episodes_state, "MAX_STEPS", 40)
    collector = collector_in("Pendulum-v1", 60)
    other, failed = go_on(collector, "Pendulum-v1")
    assert failed == dict.fromkeys(range(3), "its episode is longer than what is remembered")
    assert list(other.n_episodes) == [2, 2, 2]
    assert other.starts.all()
    assert not other.running.any()


def test_memory_for_actions_is_bounded(monkeypatch):
    monkeypatch.setattr(episodes_state, "MAX_BYTES", 1000)
    log = EpisodeLog(5)
    for _ in range(100):
        log.took(np.zeros(5, np.int64))
    assert len(log.arrays()["actions"]) == 1000 // 40


def test_actions_are_kept_as_they_were_when_they_were_taken():
    log, actions = EpisodeLog(2), np.zeros(2)
    for step in range(3):
        actions[:] = step
        log.took(actions)
    assert log.arrays()["actions"].tolist() == [[0, 0], [1, 1], [2, 2]]


def test_nested_values_come_back_as_they_were():
    torch = pytest.importorskip("torch")
    value = {"a": (torch.arange(3.0), None), "b": [np.float32([1.5]), 3, "x", True]}
    arrays = {}
    found = unpack(pack("state", value, arrays), arrays)
    assert torch.equal(found["a"][0], value["a"][0])
    assert found["a"][1] is None
    assert equal(found["b"][0], value["b"][0])
    assert found["b"][1:] == value["b"][1:]
    assert type(found["a"]) is tuple
    assert alike({"a": np.zeros(2)}, {"a": np.ones(2)})
    assert not alike({"a": np.zeros(2)}, {"a": np.zeros(3)})
    with pytest.raises(TypeError, match="cannot be stored in a checkpoint"):
        pack("state", object(), {})
