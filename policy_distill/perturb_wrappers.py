"""What disturbs any environment: wrappers around observations and actions; noise follows from the episode's seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from policy_distill.errors import RequestError

NOISE = 0x6E6F6973
"""Mixed into an episode's seed, so that noise and environment do not draw the same numbers."""


class Perturbation(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A wrapper with a generator of its own, restarted with every seeded episode."""

    def __init__(self, env: gymnasium.Env[Any, Any], size: float, scale: Any) -> None:
        super().__init__(env)
        self.size = size
        self.scale = scale
        self.rng = np.random.default_rng(NOISE)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode, the noise too."""
        if seed is not None:
            self.rng = np.random.default_rng((seed, NOISE))
        return self.env.reset(seed=seed, options=options)


class ObservationNoise(Perturbation):
    """Gaussian noise on each component, in units of its spread; whole numbers such as pixels stay whole, in bounds."""

    def __init__(self, env: gymnasium.Env[Any, Any], size: float, scale: Any) -> None:
        super().__init__(env, size, scale)
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
    """Gaussian noise in units of half the range of a Box; of discrete actions, the share that is replaced at random."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step by a disturbed action."""
        space = self.env.action_space
        if not isinstance(space, spaces.Box):
            return self.env.step(random_action(space, self.rng) if self.rng.random() < self.size else action)
        half = (space.high.astype(np.float64) - space.low) / 2
        half = np.where(np.isfinite(half), half, 1.0)
        noisy = np.asarray(action) + self.rng.normal(size=space.shape) * self.size * half
        return self.env.step(np.clip(noisy, space.low, space.high).astype(space.dtype))


class StickyActions(Perturbation):
    """With probability `size` the last action is executed again (Machado et al. 2018, arXiv 1709.06009)."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode without a last action."""
        self._last: Any = None
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step by this action or the last."""
        sticks = self.rng.random() < self.size
        if self._last is None or not sticks:
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


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps the first observations that pass through it, in `seen`."""

    def __init__(self, env: gymnasium.Env[Any, Any], n_kept: int = 1000) -> None:
        super().__init__(env)
        self.n_kept = n_kept
        self.seen: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._keep(obs)
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step."""
        obs, *rest = self.env.step(action)
        self._keep(obs)
        return (obs, *rest)

    def _keep(self, obs: Any) -> None:
        if len(self.seen) < self.n_kept:
            self.seen.append(_copy(obs))


def random_action(space: Any, rng: np.random.Generator) -> Any:
    """Draw a uniform action of a discrete space.

    Raises:
        RequestError: for a space that is not discrete.
    """
    if isinstance(space, spaces.Discrete):
        return space.start + rng.integers(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return space.start + rng.integers(space.nvec)
    if isinstance(space, spaces.MultiBinary):
        return rng.integers(2, size=space.shape, dtype=space.dtype)
    raise RequestError(f"action-noise knows Box and discrete actions, found {space}")


def _copy(obs: Any) -> Any:
    return {key: np.array(value) for key, value in obs.items()} if isinstance(obs, dict) else np.array(obs)


PERTURBATIONS: dict[str, Callable[[gymnasium.Env[Any, Any], float, Any], gymnasium.Env[Any, Any]]] = {
    "obs-noise": ObservationNoise,
    "action-noise": ActionNoise,
    "sticky": StickyActions,
    "delay": Delay,
}
"""Perturbations of any environment, by the name that they are asked for by."""
