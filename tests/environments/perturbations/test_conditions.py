import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill.environments.perturbations.conditions import parse_conditions
from policy_distill.environments.perturbations.wrappers import ActionNoise, Delay, ObservationNoise, StickyActions
from policy_distill.errors import RequestError


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


DISCRETE = [
    (spaces.Discrete(4, start=1), 4),
    (spaces.Discrete(2), 2),
    (spaces.Discrete(18, start=-3), 18),
    (spaces.MultiDiscrete([2, 3]), 6),
    (spaces.MultiDiscrete([1, 4], start=[5, -2]), 4),
    (spaces.MultiBinary(3), 8),
    (spaces.MultiBinary(1), 2),
]


def near(found, expected, n):
    """Say whether a share found in `n` draws is the expected one, up to its standard error."""
    return abs(found - expected) < 4 * (expected * (1 - expected) / n) ** 0.5 + 1e-12


@pytest.mark.parametrize(("space", "n_actions"), DISCRETE, ids=str)
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_discrete_actions_are_replaced_by_another_in_the_share_that_is_asked_for(space, n_actions, share):
    env, n = Counting(space), 4000
    space.seed(0)
    fixed = space.sample()
    steps(ActionNoise(env, share), [fixed] * n)
    assert all(space.contains(np.asarray(action, space.dtype)) for action in env.executed)
    others = [tuple(np.ravel(action)) for action in env.executed if np.any(action != fixed)]
    assert near(len(others) / n, share, n)
    kinds = set(others)
    n_actions = {
        "Discrete": lambda: space.n,
        "MultiDiscrete": lambda: space.nvec.prod(),
        "MultiBinary": lambda: 2**space.n,
    }
    assert len(kinds) == n_actions[type(space).__name__]() - 1
    for kind in kinds:
        assert near(others.count(kind) / len(others), 1 / len(kinds), len(others)), "each other one is as likely"


def test_what_has_no_other_action_is_left_alone():
    for space in (spaces.Discrete(1, start=2), spaces.MultiDiscrete([1, 1])):
        env, fixed = Counting(space), space.sample()
        steps(ActionNoise(env, 1.0), [fixed] * 20)
        assert np.all(np.array(env.executed) == fixed)


class Masked(Counting):
    """Allows two of four actions, others in each step."""

    def action_masks(self):
        return np.arange(4) % 2 == self.t % 2


def test_a_replaced_or_repeated_action_is_one_that_is_allowed():
    for made in (ActionNoise(env := Masked(spaces.Discrete(4)), 1.0), StickyActions(env, 1.0)):
        env.executed.clear()
        steps(made, [t % 2 for t in range(50)])
        assert [int(action) % 2 for action in env.executed] == [t % 2 for t in range(50)]
    noisy = ActionNoise(env, 1.0)
    noisy.reset(seed=0)
    noisy.step(0)
    assert env.executed[-1] == 2, "the only other one that is allowed"


def test_noise_on_discrete_actions_is_a_share():
    with pytest.raises(RequestError, match="a share from 0 to 1"):
        ActionNoise(Counting(spaces.Discrete(3)), 1.5)
    with pytest.raises(RequestError, match="knows Box and discrete"):
        ActionNoise(Counting(spaces.Tuple([spaces.Discrete(2)])), 0.5)


def test_whole_numbers_of_a_box_stay_whole_without_a_drift():
    env = Counting(spaces.Box(-100, 100, (1,), np.int64))
    steps(ActionNoise(env, 0.02), np.zeros((4000, 1), np.int64))
    executed = np.array(env.executed)
    assert executed.dtype == np.int64
    assert abs(executed.mean()) < 4 * executed.std() / len(executed) ** 0.5
    assert executed.std() == pytest.approx((2.0**2 + 1 / 12) ** 0.5, rel=0.06)


def joined(text, env):
    (condition,) = parse_conditions(text)
    return condition.maker(lambda: env, (), np.ones(2))()


@pytest.mark.parametrize("text", ["obs-noise:1+action-noise:1", "action-noise:1+obs-noise:1"])
def test_observation_and_action_noise_of_one_condition_are_independent(text):
    space, n = spaces.Box(-1e3, 1e3, (2,), np.float64), 4000
    env = Counting(space, slope=0.0)
    seen = np.array(steps(joined(text, env), np.zeros((n, 2))))
    acted = np.clip(np.array(env.executed), -1e3, 1e3)
    for lag in (0, 1):
        for one in range(2):
            for other in range(2):
                r = np.corrcoef(seen[lag : n + lag, one], acted[:, other])[0, 1]
                assert abs(r) < 4.5 / n**0.5


def test_an_action_sticks_and_is_replaced_independently():
    env, n = Counting(spaces.Discrete(100_000)), 8000
    steps(joined("action-noise:0.25+sticky:0.25", env), range(n))
    executed = np.array(env.executed)
    # Noise comes last: what was repeated is seen where it was not replaced.
    shares = {"as chosen": 0.75 * 0.75, "repeated": 0.25 * 0.75, "replaced": 0.25}
    t = np.arange(n)
    repeated = (executed < t) & (t - executed < 12)
    assert near(np.mean(executed == t), shares["as chosen"], n)
    assert near(np.mean(repeated), shares["repeated"], n)
    assert near(np.mean((executed != t) & ~repeated), shares["replaced"], n)


def test_each_condition_and_each_place_in_it_has_noise_of_its_own():
    texts = ["obs-noise:1", "obs-noise:2", "obs-noise:1+delay:0", "delay:0+obs-noise:1", "obs-noise:1+env:slope=0"]
    drawn = {}
    for condition in parse_conditions(",".join(texts)):
        size = dict(condition.wrappers)["obs-noise"]
        seen = steps(condition.maker(lambda slope=0.0: Counting(slope=0.0), (), None)(), np.zeros((2000, 1)))
        drawn[condition.name] = np.array(seen)[:, 0] / size
    for name, one in drawn.items():
        for other, noise in drawn.items():
            if name != other:
                assert abs(np.corrcoef(one, noise)[0, 1]) < 4.5 / len(one) ** 0.5
    twice = steps(joined("obs-noise:1+obs-noise:1", Counting(slope=0.0)), np.zeros((4000, 1)))
    assert np.std(twice) == pytest.approx(2**0.5, rel=0.05), "two of one kind add up as independent ones do"


def test_however_a_condition_is_written_its_noise_is_the_same():
    (one,), (other,) = parse_conditions("obs-noise:0.10"), parse_conditions(" obs-noise:1e-1")
    assert one.key == other.key != parse_conditions("obs-noise:0.2")[0].key


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
    with pytest.raises(RequestError, match="made again"):
        delay.maker(Counting())
    with pytest.raises(RequestError, match="needs observations"):
        parse_conditions("obs-noise:1")[0].maker(lambda: gymnasium.make("FrozenLake-v1"))()
