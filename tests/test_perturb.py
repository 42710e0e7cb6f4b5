import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill.errors import RequestError
from policy_distill.perturb import parse_conditions
from policy_distill.perturb_wrappers import ActionNoise, Delay, ObservationNoise, Recorder, StickyActions
from policy_distill.robustness import _deviation


class Counting(gymnasium.Env):
    """Shows its step count in two components, the second ten times as large; notes the actions executed."""

    def __init__(self, action_space=None, observation_space=None, slope=1.0):
        self.observation_space = observation_space or spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = action_space or spaces.Box(-2.0, 2.0, (1,), np.float32)
        self.executed, self.t, self.slope = [], 0, slope

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action):
        self.t += 1
        self.executed.append(np.array(action))
        return self._obs(), 0.0, False, False, {}

    def _obs(self):
        if isinstance(self.observation_space, spaces.Dict):
            return {"a": np.array([self.t, 0], np.float32), "b": np.int64(self.t % 3)}
        return (np.array([self.t, 10 * self.t]) * self.slope).astype(self.observation_space.dtype)


def steps(env, actions, seed=0):
    seen = [env.reset(seed=seed)[0]]
    return [*seen, *(env.step(action)[0] for action in actions)]


def test_a_delay_shows_what_was_some_steps_ago():
    seen = steps(Delay(Counting(), 2, None), np.zeros((5, 1)))
    assert [int(obs[0]) for obs in seen] == [0, 0, 0, 1, 2, 3]


def test_only_the_pixels_of_an_image_have_one_spread_together():
    board = np.zeros((4, 2, 3, 3), np.uint8)
    board[2:, 0, 0, 0] = 1
    assert _deviation(board, spaces.Box(0, 1, (2, 3, 3), np.uint8))[0, 0].tolist() == [0.5, 0.0, 0.0]
    assert _deviation(board, spaces.Box(0, 255, (2, 3, 3), np.uint8)).shape == ()


def test_noise_is_in_units_of_each_components_spread():
    env = ObservationNoise(Counting(slope=0.0), 0.5, np.array([1.0, 10.0]))
    noise = np.array(steps(env, np.zeros((4000, 1)))).std(axis=0)
    assert noise == pytest.approx([0.5, 5.0], rel=0.05)


def test_pixels_stay_whole_and_within_bounds():
    space = spaces.Box(0, 255, (2,), np.uint8)
    seen = np.array(steps(ObservationNoise(Counting(observation_space=space), 100.0, None), np.zeros((20, 1))))
    assert seen.min() == 0
    assert seen.max() == 255
    assert ObservationNoise(Counting(observation_space=space), 1.0, None).reset(seed=0)[0].dtype == np.uint8


def test_of_a_dict_the_boxes_are_disturbed_and_the_choices_left_alone():
    space = spaces.Dict({"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Discrete(3)})
    seen = steps(
        ObservationNoise(Counting(observation_space=space), 1.0, {"a": np.array([1.0, 0.0])}), np.zeros((5, 1))
    )
    assert [int(obs["b"]) for obs in seen] == [0, 1, 2, 0, 1, 2]
    assert all(obs["a"][1] == 0 for obs in seen)
    assert any(obs["a"][0] != i for i, obs in enumerate(seen))


def test_sticky_actions_repeat_the_last_one_about_as_often_as_they_say():
    env = Counting()
    wanted = np.arange(2000, dtype=np.float32).reshape(-1, 1) / 1000
    steps(StickyActions(env, 0.25, None), wanted)
    executed = np.array(env.executed)
    assert executed[0] == wanted[0]
    assert np.mean(executed[1:] == executed[:-1]) == pytest.approx(0.25, abs=0.03)


def test_the_last_action_is_kept_even_where_its_array_is_filled_again():
    env, action = Counting(), np.zeros(1, np.float32)
    sticky = StickyActions(env, 1.0, None)
    sticky.reset(seed=0)
    for value in (1.0, 2.0):
        action[:] = value
        sticky.step(action)
    assert [float(one[0]) for one in env.executed] == [1.0, 1.0]


def test_action_noise_is_in_units_of_half_the_range_and_stays_in_bounds():
    env = Counting()
    steps(ActionNoise(env, 0.1, None), np.zeros((3000, 1)))
    assert np.std(env.executed) == pytest.approx(0.2, rel=0.06)
    steps(ActionNoise(env, 10.0, None), np.zeros((50, 1)))
    assert np.abs(env.executed).max() <= 2.0


@pytest.mark.parametrize(
    "space", [spaces.Discrete(4, start=1), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)], ids=type
)
def test_discrete_actions_are_replaced_by_the_share_that_is_asked_for(space):
    env = Counting(space)
    space.seed(0)
    fixed = space.sample()
    steps(ActionNoise(env, 0.5, None), [fixed] * 2000)
    assert all(space.contains(np.asarray(action, space.dtype)) for action in env.executed)
    n_actions = {"Discrete": 4, "MultiDiscrete": 6, "MultiBinary": 8}[type(space).__name__]
    changed = np.mean([np.any(action != fixed) for action in env.executed])
    assert changed == pytest.approx(0.5 * (1 - 1 / n_actions), abs=0.05)


@pytest.mark.parametrize("text", ["obs-noise:0.5", "action-noise:0.5", "sticky:0.5"])
def test_an_episodes_noise_follows_from_its_seed(text):
    (condition,) = parse_conditions(text)
    runs = []
    for seed in (1, 1, 2):
        env = Counting()
        made = condition.maker(lambda env=env: env)()
        seen = steps(made, np.linspace(-1, 1, 30).reshape(-1, 1), seed)
        runs.append((np.array(seen).tolist(), np.array(env.executed).tolist()))
    assert runs[0] == runs[1] != runs[2]


def test_a_constructors_arguments_are_passed_on():
    (gravity, both) = parse_conditions("env:g=3.5,env:g=2+delay:1")
    env = gravity.maker("Pendulum-v1")()
    assert env.unwrapped.g == 3.5
    assert both.maker("Pendulum-v1")().unwrapped.g == 2
    assert isinstance(both.maker(gymnasium.spec("Pendulum-v1"))(), Delay)
    assert gymnasium.spec("Pendulum-v1").kwargs == {}, "the registry's own entry is left alone"
    assert parse_conditions("env:slope=0")[0].maker(Counting)().slope == 0


def test_the_policys_wrappers_see_what_the_condition_does():
    (delay,) = parse_conditions("delay:1")
    stacked = delay.maker(Counting, [{"name": "FrameStack", "kwargs": {"n_stack": 2}}])()
    seen = steps(stacked, np.zeros((3, 1)))
    assert [obs[[0, 2]].tolist() for obs in seen] == [[0, 0], [0, 0], [0, 1], [1, 2]]


def test_a_recorder_keeps_no_more_than_it_is_told():
    recorder = Recorder(Counting(), n_kept=3)
    steps(recorder, np.zeros((9, 1)))
    assert [int(obs[0]) for obs in recorder.seen] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "such as obs-noise"),
        ("obs-noise:much", "a number such as"),
        ("delay:1.5", "whole number"),
        ("obs-noise:-1", "from 0"),
        ("env:1x=2", "constructor"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(text, message):
    with pytest.raises(RequestError, match=message):
        parse_conditions(text)


def test_an_environment_that_cannot_be_made_anew_is_refused():
    (delay,) = parse_conditions("delay:1")
    with pytest.raises(RequestError, match="made anew"):
        delay.maker(Counting())
    with pytest.raises(RequestError, match="needs observations"):
        parse_conditions("obs-noise:1")[0].maker(lambda: gymnasium.make("FrozenLake-v1"))()
