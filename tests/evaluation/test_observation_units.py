import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.evaluation.contexts.robustness import compare_under
from policy_distill.evaluation.observation_units import N_EPISODES, Meter, Spread, measure_units
from policy_distill.seeds import PROBE


class Reach(gymnasium.Env):
    """Ten steps; shows a target that is constant in an episode, noise, what is always the same, and the last action."""

    def __init__(self, kind="vector", goal=2.0):
        box = spaces.Box(-np.inf, np.inf, (4,), np.float64)
        choices = {"dict": spaces.Dict(state=box, kind=spaces.Discrete(2)), "choice": spaces.Discrete(4)}
        self.observation_space = choices.get(kind, box)
        self.action_space = spaces.Discrete(2)
        self.kind, self.goal, self.t, self.seeds = kind, goal, 0, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed = seed
        self.target, self.t = self.np_random.normal(5.0, self.goal), 0
        return self._obs(0), {}

    def step(self, action):
        self.t += 1
        if self.t == 1:
            self.seeds.append(self.seed)
        return self._obs(action), 0.0, self.t >= 10, False, {}

    def _obs(self, action):
        if self.kind == "choice":
            return self.t % 4
        vector = np.array([self.target, self.np_random.normal(1e6, 0.1), 7.0, float(action)])
        return {"state": vector, "kind": self.t % 2} if self.kind == "dict" else vector


class Steady(PolicyDefaults):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        first = next(iter(observation.values())) if isinstance(observation, dict) else observation
        return np.zeros(len(first), np.int64), state


def test_what_differs_between_episodes_alone_has_a_unit_too():
    found = measure_units(Steady(), Reach)
    n = 2 * N_EPISODES
    assert found[0] == pytest.approx(2.0, abs=4 * 2.0 / (2 * n) ** 0.5)
    assert found[1] == pytest.approx(0.1, rel=4 / (2 * 11 * n) ** 0.5), "a large mean cancels nothing"
    assert found[2] == 0.0, "what never changes gets no noise"
    # Half of the episodes are a random policy's, whose actions are 0 or 1, and 0 before the first.
    assert 0.3 < found[3] < 0.5


def test_the_unit_hardly_depends_on_the_episodes():
    """One episode's spread of a random walk varies several times; that of forty by a tenth or so."""

    class Walk(Reach):
        def _obs(self, action):
            self.place = 0.0 if self.t == 0 else self.place + self.np_random.normal()
            return np.full(4, self.place + self.target)

    rng = np.random.default_rng(0)

    def one_unit():
        meter = Meter(Walk())
        for seed in rng.integers(2**30, size=2 * N_EPISODES).tolist():
            meter.reset(seed=seed)
            for _ in range(10):
                meter.step(0)
        means = np.array([episode[None].mean[0] for episode in meter.episodes])
        within = np.mean([episode[None].variance[0] for episode in meter.episodes])
        singles = [episode[None].variance[0] ** 0.5 for episode in meter.episodes]
        return (within + means.var()) ** 0.5, singles

    pooled, singles = zip(*(one_unit() for _ in range(20)), strict=True)
    assert max(pooled) / min(pooled) < 2
    assert np.max(singles) / np.min(singles) > 3


def test_of_a_dict_the_boxes_have_units_and_choices_none():
    found = measure_units(Steady(), lambda: Reach("dict"))
    assert list(found) == ["state"]
    assert found["state"].shape == (4,)
    assert measure_units(Steady(), lambda: Reach("choice")) is None


def test_an_image_has_one_unit_for_all_its_pixels():
    class Film(Reach):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 255, (6, 5, 1), np.uint8)

        def _obs(self, action):
            image = np.zeros((6, 5, 1), np.uint8)
            image[0] = 200
            return image

    found = measure_units(Steady(), Film)
    pixels = np.array([200.0] + [0.0] * 5)
    assert found == pytest.approx(pixels.std())
    assert found.shape == ()


def test_units_are_measured_on_episodes_of_both_policies_that_no_proof_begins_from():
    made = []
    measure_units(Steady(), lambda: made.append(Reach()) or made[-1])
    seeds = sorted(seed for env in made for seed in env.seeds if seed != PROBE)
    assert len(seeds) == len(set(seeds)) == 2 * N_EPISODES
    assert 2**30 < seeds[0] <= seeds[-1] < 2**31


def test_a_spread_is_numpys():
    rng, spread = np.random.default_rng(0), Spread()
    x = rng.normal(1e9, 1.0, (500, 3))
    for row in x:
        spread.add(row)
    assert spread.mean == pytest.approx(x.mean(axis=0), rel=1e-12)
    assert spread.variance == pytest.approx((x - x.mean(axis=0)).var(axis=0), rel=1e-6)


def test_long_episodes_count_as_much_as_short_ones():
    class Uneven(Reach):
        """Shows 0 in a hundred steps, or 1 in two."""

        def reset(self, *, seed=None, options=None):
            self.long = seed % 2 == 0
            return super().reset(seed=seed)

        def step(self, action):
            self.t += 1
            return self._obs(action), 0.0, self.t >= (100 if self.long else 2), False, {}

        def _obs(self, action):
            return np.full(4, 0.0 if self.long else 1.0)

    assert measure_units(Steady(), Uneven) == pytest.approx(np.full(4, 0.5))


def test_noise_under_conditions_is_in_these_units():
    class Notes(Steady):
        def __init__(self):
            self.seen = []

        def predict(self, observation, *given, **options):
            self.seen.append(observation.copy())
            return super().predict(observation, *given, **options)

    notes = Notes()
    found = compare_under(Steady(), notes, Reach, "obs-noise:0.5", 200, 0)
    assert list(found) == ["none", "obs-noise:0.5"]
    seen = np.concatenate(notes.seen[-(200 // 16) * 10 :])
    unit = measure_units(Steady(), Reach)[0]
    # Target and noise, independent of each other.
    expected = (4.0 + (0.5 * unit) ** 2) ** 0.5
    assert seen[:, 0].std() == pytest.approx(expected, abs=4 * expected / (2 * 192) ** 0.5)
    assert np.all(seen[:, 2] == 7.0)
    within = np.diff(seen.reshape(-1, 16, 4)[:10, :, 0], axis=0).std()
    assert within == pytest.approx(0.5 * unit * 2**0.5, rel=0.25), "the target is disturbed anew in every step"
