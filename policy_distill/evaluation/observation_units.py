"""The unit of observation noise: how far each component spreads over episodes of the teacher and of a random policy.

In: a teacher and its environment. Out: standard deviations. Both policies count the same, and so does each episode,
long or short: the variance is that within episodes plus that between their means, so that what is constant in an
episode and another in the next (a goal, a mass) has a unit too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from policy_distill.collection.actors import RandomPolicy
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.wrappers import apply_wrappers
from policy_distill.evaluation.episodes import run_episodes
from policy_distill.interfaces.policies import Policy, WrapperSpec
from policy_distill.seeds import PROBE, units_start
from policy_distill.student.pixels import is_image
from policy_distill.student.spaces import describe_space

N_EPISODES = 20
"""Episodes of each of both policies."""

N_ENVS = 10
"""Environments stepped side by side."""


def measure_units(
    teacher: Policy, make: Callable[[], gymnasium.Env[Any, Any]], wrappers: Sequence[WrapperSpec] = ()
) -> Any:
    """Return each component's standard deviation, of images one number for all; of a Dict, for each Box in it.

    The episodes are always the same, so that a unit is one number in every comparison.

    Args:
        teacher: acts by its mode.
        make: makes the environment as it is, without noise.
        wrappers: what the teacher needs around it.
    """
    meters = [Meter(make()) for _ in range(N_ENVS)]
    with closing(EnvironmentList([apply_wrappers(meter, list(wrappers)) for meter in meters])) as envs:
        start, masked = units_start(0), teacher.takes_action_masks
        random_policy = RandomPolicy(envs.action_space, N_ENVS, start, takes_action_masks=masked)
        run_episodes(teacher, envs, N_EPISODES, start, True)
        run_episodes(random_policy, envs, N_EPISODES, start + N_EPISODES, True)
    # Environments are also reset to look at them, without a step.
    begun = [episode for meter in meters for episode in meter.episodes]
    episodes = [episode for episode in begun if any(spread.n > 1 for spread in episode.values())]
    parts = {key for episode in episodes for key in episode}
    space: Any = meters[0].observation_space
    found = {
        key: _deviation(
            [episode[key] for episode in episodes],
            pixels=is_image(describe_space(space if key is None else space[key])),
        )
        for key in parts
    }
    return found if isinstance(space, spaces.Dict) else found.get(None)


class Spread:
    """Mean and variance of arrays, one after another (Welford 1962, Technometrics 4(3)): large means cancel nothing."""

    def __init__(self) -> None:
        self.n = 0
        self.mean: Any = 0.0
        self._squares: Any = 0.0

    def add(self, x: np.ndarray) -> None:
        """Take one more into account."""
        self.n += 1
        step = np.asarray(x, dtype=np.float64) - self.mean
        self.mean = self.mean + step / self.n
        self._squares = self._squares + step * (x - self.mean)

    @property
    def variance(self) -> Any:
        """Of those so far."""
        return self._squares / max(self.n, 1)


class Meter(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Notes the spread of what passes through it, episode by episode, in `episodes`: of a Dict by key, else by None."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.episodes: list[dict[str | None, Spread]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        obs, info = self.env.reset(seed=seed, options=options)
        if seed != PROBE:
            # What only tells whether a seed means anything is no episode.
            self.episodes.append({})
            self._note(obs)
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step."""
        obs, *rest = self.env.step(action)
        self._note(obs)
        return (obs, *rest)

    def _note(self, obs: Any) -> None:
        space = self.env.observation_space
        parts: Any = space.spaces if isinstance(space, spaces.Dict) else {None: space}
        for key, part in parts.items():
            if isinstance(part, spaces.Box):
                value = np.asarray(obs if key is None else obs[key])
                self.episodes[-1].setdefault(key, Spread()).add(value)


def _deviation(episodes: list[Spread], *, pixels: bool) -> np.ndarray:
    """Return the standard deviation over episodes that count the same; of `pixels` one for all."""
    of_means, within = Spread(), np.mean([episode.variance for episode in episodes], axis=0)
    for episode in episodes:
        of_means.add(episode.mean)
    variance = within + of_means.variance
    if not pixels:
        return np.asarray(np.sqrt(variance))
    # Of an image, the spread of all its pixels over time and place.
    return np.asarray(np.sqrt(variance.mean() + np.var(of_means.mean)))
