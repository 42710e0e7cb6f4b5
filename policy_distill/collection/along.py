"""A student along episodes: what it says at every step, with what it remembers carried along.

In: raw observations in the order of their steps. Out: the network's outputs, with what is remembered carried along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy_distill.collection.rollout import Rollout
from policy_distill.student.runtime import Student


def outputs_along(
    student: Student,
    obs: Any,
    episode_starts: np.ndarray,
    state: Any = None,
    *,
    actions: np.ndarray | None = None,
    action_masks: np.ndarray | None = None,
) -> tuple[np.ndarray, Any]:
    """Return the network's outputs `[T, N, n_outputs]` along `N` streams of episodes, and the state after them.

    Args:
        student: with a memory or without.
        obs: raw observations `[T, N, ...]`, or a dict of such.
        episode_starts: bool `[T, N]`, True where an episode begins.
        state: what the call for the steps before returned; None before the first.
        actions: the executed ones `[T, N, ...]`, for a student that remembers them; by default those that it chooses.
        action_masks: bool `[T, N, A]`, which of these are allowed; None where all are.
    """
    n_steps, n_envs = episode_starts.shape
    memory, outputs = student.plan.memory, np.empty((n_steps, n_envs, student.plan.n_outputs), np.float32)
    for step in range(n_steps):
        now = {key: value[step] for key, value in obs.items()} if isinstance(obs, dict) else obs[step]
        outputs[step], state = student.step(now, memory.taken_up(state, n_envs, episode_starts[step]))
        if memory.awaited is not None:
            masks = None if action_masks is None else action_masks[step]
            chosen = student.plan.actions(outputs[step], masks) if actions is None else actions[step]
            state = student.plan.remember(state, chosen)
    return outputs, state


class Followed:
    """Notes what a student with a memory says along the episodes."""

    def __init__(self, student: Student | None, seen: Callable[[Any], Any]) -> None:
        """Follow a student, or nobody; `seen` makes what it sees of the environments' observations."""
        self._seen = seen
        self._student = student if student is not None and student.plan.memory.size else None
        self._state: Any = None
        self.columns = ("actions",) if self._student and self._student.plan.memory.awaited is not None else ()
        """What is to be noted along the episodes for it."""

    def along(self, rollout: Rollout) -> np.ndarray | None:
        """Return the outputs `[T * N, n_outputs]` for the next part of the episodes; None where nobody is followed."""
        if self._student is None:
            return None
        obs, actions = self._seen(rollout.obs), rollout.columns.get("actions")
        outputs, self._state = outputs_along(self._student, obs, rollout.episode_starts, self._state, actions=actions)
        return outputs.reshape(-1, outputs.shape[-1])
