import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill.environments.agent_wrappers import MAX_HISTORY, VELOCITIES
from policy_distill.environments.wrappers import apply_wrappers
from policy_distill.errors import RequestError
from tests.doubles import Corridor


def wrapped(env, name, **kwargs):
    return apply_wrappers(env, [{"name": name, "kwargs": kwargs}])


def test_skipped_frames_repeat_the_action_add_up_and_end_with_the_episode():
    env = wrapped(Corridor(length=10), "FrameSkip", skip=4)
    env.reset()
    found = [env.step(1)[:3] for _ in range(3)]
    assert [(reward, ended) for _, reward, ended in found] == [(4.0, False), (4.0, False), (2.0, True)]
    assert found[0][0][0] == np.float32(0.4)
    with pytest.raises(RequestError, match="skip of at least 1"):
        wrapped(Corridor(), "FrameSkip", skip=0)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "MountainCar-v0"])
def test_velocities_are_hidden_and_nothing_else(env_id):
    plain, masked = gymnasium.make(env_id), wrapped(gymnasium.make(env_id), "MaskVelocityWrapper")
    for env in (plain, masked):
        env.reset(seed=1)
        env.action_space.seed(1)
    for _ in range(3):
        action = plain.action_space.sample()
        seen, hidden = plain.step(action)[0], masked.step(action)[0]
        columns = list(VELOCITIES[env_id.split("-")[0]])
        assert not hidden[columns].any()
        assert np.array_equal(np.delete(hidden, columns), np.delete(seen, columns))
    with pytest.raises(RequestError, match="velocities are known for"):
        wrapped(gymnasium.make("Acrobot-v1"), "MaskVelocityWrapper")


def test_a_history_lays_observations_and_then_actions_side_by_side_oldest_first():
    plain, env = gymnasium.make("Pendulum-v1"), wrapped(gymnasium.make("Pendulum-v1"), "HistoryWrapper", horizon=2)
    seen, (first, _) = [plain.reset(seed=3)[0]], env.reset(seed=3)
    assert env.observation_space.shape == first.shape == (2 * 3 + 2 * 1,)
    assert np.array_equal(first, np.concatenate([np.zeros(3), seen[0], np.zeros(2)]).astype(np.float32))
    actions = [np.array([value], np.float32) for value in (0.5, -1.0)]
    for action in actions:
        seen.append(plain.step(action)[0])
        found = env.step(action)[0]
    assert np.array_equal(found, np.concatenate([*seen[1:], *actions]))
    assert env.observation_space.contains(found)
    assert not env.reset(seed=3)[0][-2:].any()


@pytest.mark.parametrize(("horizon", "message"), [(0, "at least 1 step"), (65, "at most 64")])
def test_a_history_is_neither_empty_nor_endless(horizon, message):
    with pytest.raises(RequestError, match=message):
        wrapped(gymnasium.make("Pendulum-v1"), "HistoryWrapper", horizon=horizon)


def test_what_has_no_history_or_goal_is_refused_with_its_space():
    for name in ("HistoryWrapper", "ObsDictWrapper"):
        with pytest.raises(RequestError, match="expected"):
            wrapped(Corridor(), name)
    assert MAX_HISTORY > 64


def test_goal_and_observation_become_one_vector():
    class Goal(Corridor):
        def __init__(self):
            super().__init__()
            box = spaces.Box(-1.0, 1.0, (2,), np.float64)
            self.observation_space = spaces.Dict(observation=box, achieved_goal=box, desired_goal=box)

        def _obs(self):
            return {
                key: np.full(2, value) for key, value in (("observation", 1), ("achieved_goal", 2), ("desired_goal", 3))
            }

    env = wrapped(Goal(), "ObsDictWrapper")
    obs, _ = env.reset()
    assert obs.tolist() == [1.0, 1.0, 3.0, 3.0]
    assert obs.dtype == env.observation_space.dtype == np.float32
