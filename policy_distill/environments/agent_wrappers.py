"""Wrappers that agents of the RL Zoo and of old versions were trained with, written anew for environments of today.

In: an environment. Out: the environment as such an agent observes or acts in it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from policy_distill.environments.spaces import subspaces
from policy_distill.errors import RequestError

MAX_HISTORY = 2**24
"""Numbers in one observation with its history."""

VELOCITIES = {
    "CartPole": (1, 3),
    "MountainCar": (1,),
    "MountainCarContinuous": (1,),
    "Pendulum": (2,),
    "LunarLander": (2, 3, 5),
    "LunarLanderContinuous": (2, 3, 5),
}
"""Components that are velocities, by the names of environments, as the RL Zoo hides them."""


class FrameSkip(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Repeats each action, and adds the rewards up, until an episode ends."""

    def __init__(self, env: gymnasium.Env[Any, Any], skip: int = 4) -> None:
        super().__init__(env)
        if not isinstance(skip, int) or skip < 1:
            raise ValueError(f"expected a skip of at least 1, found {skip}")
        self._skip = skip

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step as often as asked, or to the end of the episode."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        total = float(reward)
        for _ in range(self._skip - 1):
            if terminated or truncated:
                break
            obs, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
        return obs, total, terminated, truncated, info


class MaskVelocity(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Hides velocities: zeros in their place."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        spec = env.unwrapped.spec
        name = spec.name if spec is not None else ""
        if name not in VELOCITIES:
            raise ValueError(
                f"its velocities are known for {', '.join(VELOCITIES)}, not for {name or 'this environment'}"
            )
        space = env.observation_space
        assert isinstance(space, spaces.Box)
        self._mask = np.ones(space.shape, space.dtype)
        self._mask[list(VELOCITIES[name])] = 0

    def observation(self, observation: Any) -> Any:
        """Return an observation without velocities."""
        return observation * self._mask


class History(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The last observations, then the last actions, as one observation: oldest first, zeros before the first."""

    def __init__(self, env: gymnasium.Env[Any, Any], horizon: int = 2) -> None:
        super().__init__(env)
        seen, done = env.observation_space, env.action_space
        if not isinstance(seen, spaces.Box) or not isinstance(done, spaces.Box) or len(seen.shape) != 1:
            raise RequestError(f"expected Box observations and actions for a history, found {seen} and {done}")
        if not isinstance(horizon, int) or not 1 <= horizon * (seen.low.size + done.low.size) <= MAX_HISTORY:
            raise RequestError(
                f"expected a history of at least 1 step and {MAX_HISTORY:,} numbers, found {horizon} steps"
            )
        low, high = (
            np.concatenate([np.tile(of_seen, horizon), np.tile(of_done, horizon)])
            for of_seen, of_done in ((seen.low, done.low), (seen.high, done.high))
        )
        self.observation_space = spaces.Box(low.astype(seen.dtype), high.astype(seen.dtype), dtype=seen.dtype)
        self._seen = np.zeros((horizon, seen.low.size), seen.dtype)
        self._done = np.zeros((horizon, done.low.size), done.dtype)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode without a past."""
        obs, info = self.env.reset(**kwargs)
        self._seen[:], self._done[:] = 0, 0
        self._seen[-1] = obs
        return self._together(), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Step, and forget the oldest observation and action."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._seen[:-1], self._done[:-1] = self._seen[1:].copy(), self._done[1:].copy()
        self._seen[-1], self._done[-1] = obs, action
        return self._together(), reward, terminated, truncated, info

    def _together(self) -> np.ndarray:
        both = np.concatenate([self._seen.ravel(), self._done.ravel()])
        return both.astype(self.observation_space.dtype)


class GoalBesideObservation(gymnasium.ObservationWrapper[Any, Any, Any]):
    """An observation and its desired goal as one vector, as HER before SB3 1.1 saw environments with goals."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        keys = subspaces(env.observation_space)
        parts = [part for key in ("observation", "desired_goal") if isinstance(part := keys.get(key), spaces.Box)]
        if len(parts) < 2:
            raise RequestError(f"expected a Dict with observation and desired_goal, found {env.observation_space}")
        low, high = (
            np.concatenate(sides, axis=-1, dtype=np.float32, casting="same_kind")
            for sides in ([part.low for part in parts], [part.high for part in parts])
        )
        self.observation_space = spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: Any) -> Any:
        """Return both as one vector, float32."""
        both = (observation["observation"], observation["desired_goal"])
        return np.concatenate(both, axis=-1, dtype=np.float32, casting="same_kind")
