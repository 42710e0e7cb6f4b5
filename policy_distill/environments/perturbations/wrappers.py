"""What disturbs any environment: wrappers around observations and actions.

Noise follows from the episode's seed, the condition and the place in it: no two wrappers draw the same numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from policy_distill.environments.perturbations.actions import action_masks, is_allowed, other_action
from policy_distill.errors import RequestError
from policy_distill.system.nested import map_arrays

NOISE = 0x6E6F6973
"""Mixed into an episode's seed, so that noise and environment do not draw the same numbers."""

SeedKey = tuple[int, ...]
"""A condition and a place in it, as whole numbers of at least 0."""


class Perturbation(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A wrapper with a generator of its own, restarted with every seeded episode."""

    def __init__(self, env: gymnasium.Env[Any, Any], size: float, scale: Any = None, stream: SeedKey = ()) -> None:
        """Disturb by `size`; `scale` is the unit of observations, `stream` what tells this wrapper from all others."""
        super().__init__(env)
        self.size = size
        self.scale = scale
        self.stream = stream
        self.rng = np.random.default_rng((NOISE, *stream))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode, the noise too."""
        if seed is not None:
            self.rng = np.random.default_rng((seed, NOISE, *self.stream))
        return self.env.reset(seed=seed, options=options)


class ObservationNoise(Perturbation):
    """Gaussian noise on each component, in units of its spread; whole numbers such as pixels stay whole, in bounds."""

    def __init__(self, env: gymnasium.Env[Any, Any], size: float, scale: Any = None, stream: SeedKey = ()) -> None:
        super().__init__(env, size, scale, stream)
        space = env.observation_space
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else (space,)
        if not any(isinstance(part, spaces.Box) for part in parts):
            raise RequestError(f"obs-noise needs observations that are a Box or a Dict with one, found {space}")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode, its first observation disturbed."""
        obs, info = super().reset(seed=seed, options=options)
        return self._disturbed(obs), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and disturb what is seen of it."""
        obs, *rest = self.env.step(action)
        return (self._disturbed(obs), *rest)

    def _disturbed(self, obs: Any) -> Any:
        space = self.env.observation_space
        if not isinstance(space, spaces.Dict):
            return self._noisy(obs, space, self.scale)
        scales = self.scale or {}
        return {key: self._noisy(value, space[key], scales.get(key)) for key, value in obs.items()}

    def _noisy(self, obs: Any, space: Any, scale: Any) -> Any:
        if not isinstance(space, spaces.Box):
            return obs
        noise = self.rng.normal(size=space.shape) * self.size * (1.0 if scale is None else scale)
        if space.dtype is not None and space.dtype.kind in "iu":
            return np.clip(np.rint(obs + noise), space.low, space.high).astype(space.dtype)
        return np.asarray(obs + noise, dtype=space.dtype)


class ActionNoise(Perturbation):
    """Gaussian noise in units of half the range of a Box; of discrete actions, the share that another one replaces.

    The action in its place is never the same one: each other one that is allowed is as likely. Of MultiDiscrete and
    MultiBinary an action is the whole vector.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], size: float, scale: Any = None, stream: SeedKey = ()) -> None:
        super().__init__(env, size, scale, stream)
        space = env.action_space
        if isinstance(space, spaces.Box):
            return
        if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise RequestError(f"action-noise knows Box and discrete actions, found {space}")
        if size > 1:
            raise RequestError(f"expected a share from 0 to 1 for action-noise of {space}, found {size:g}")

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step by a disturbed action."""
        space = self.env.action_space
        if not isinstance(space, spaces.Box):
            replaced = self.rng.random() < self.size
            return self.env.step(other_action(space, action, self.rng, action_masks(self.env)) if replaced else action)
        half = (space.high.astype(np.float64) - space.low) / 2
        half = np.where(np.isfinite(half), half, 1.0)
        noisy = np.asarray(action) + self.rng.normal(size=space.shape) * self.size * half
        whole = space.dtype is not None and space.dtype.kind in "iu"
        noisy = np.clip(np.rint(noisy) if whole else noisy, space.low, space.high)
        return self.env.step(noisy.astype(space.dtype))


class StickyActions(Perturbation):
    """With probability `size` the last action is executed again (Machado et al. 2018, arXiv 1709.06009).

    Not where the environment rules it out by now.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode without a last action."""
        self._last: Any = None
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step by this action or the last."""
        sticks = self.rng.random() < self.size and self._last is not None
        if not sticks or not is_allowed(self.env.action_space, self._last, action_masks(self.env)):
            # A copy: actions are rows of an array that may be filled again.
            self._last = action.copy() if isinstance(action, np.ndarray) else action
        return self.env.step(self._last)


class Delay(Perturbation):
    """What is seen is `size` steps old; until there is anything so old, the first observation."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode with its first observation."""
        obs, info = super().reset(seed=seed, options=options)
        self._seen = deque([_copy(obs)], maxlen=int(self.size) + 1)
        return self._seen[0], info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and see what was."""
        obs, *rest = self.env.step(action)
        self._seen.append(_copy(obs))
        return (self._seen[0], *rest)


def _copy(obs: Any) -> Any:
    return map_arrays(np.array, obs)


PERTURBATIONS: dict[str, Callable[[gymnasium.Env[Any, Any], float, Any, SeedKey], gymnasium.Env[Any, Any]]] = {
    "obs-noise": ObservationNoise,
    "action-noise": ActionNoise,
    "sticky": StickyActions,
    "delay": Delay,
}
"""Perturbations of any environment, by the name that they are asked for by."""
