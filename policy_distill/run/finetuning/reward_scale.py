"""Rewards in units of their own: over the deviation of the discounted return so far, as of SB3's `VecNormalize`.

In: raw rewards, rollout by rollout. Out: normalised ones.
"""

from __future__ import annotations

import math

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd

CLIP = 10.0
"""No normalised reward is larger."""


class RewardScale:
    """What rewards are divided by, and the discounted returns of running episodes that tell it."""

    def __init__(self, n_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self._returns = RunningMeanStd(epsilon=1e-4, shape=())
        self._running = np.zeros(n_envs)

    def normalized(self, rewards: np.ndarray, episode_starts: np.ndarray) -> np.ndarray:
        """Return rewards `[T, N]` of a rollout, once they have been seen; `episode_starts` are bool `[T, N]`."""
        sums = np.empty_like(rewards)
        for step, (reward, starts) in enumerate(zip(rewards, episode_starts, strict=True)):
            self._running = np.where(starts, 0.0, self._running) * self.gamma + reward
            sums[step] = self._running
        self._returns.update(sums.ravel())
        return np.clip(rewards / self.unit, -CLIP, CLIP)

    @property
    def unit(self) -> float:
        """What rewards are divided by."""
        return math.sqrt(float(self._returns.var) + 1e-8)

    def state(self) -> dict[str, np.ndarray]:
        """Return what it has seen."""
        seen = self._returns
        return {"moments": np.array([seen.count, seen.mean, seen.var], np.float64), "running": self._running.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take what `state` returned.

        Raises:
            ValueError: where that is of other environments.
        """
        moments, running = state["moments"], state["running"]
        if moments.shape != (3,) or running.shape != self._running.shape or not np.isfinite(moments).all():
            raise ValueError("rewards of other environments")
        self._returns.count, self._returns.mean, self._returns.var = moments.tolist()
        self._running = np.array(running)
