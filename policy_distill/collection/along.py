"""A student along episodes: what it says at every step, with what it remembers carried along.

In: raw observations in the order of their steps. Out: the network's outputs, with what is remembered carried along.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.student.runtime import Student


def outputs_along(student: Student, obs: Any, episode_starts: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
    """Return the network's outputs `[T, N, n_outputs]` along `N` streams of episodes, and the state after them.

    Args:
        student: with a memory or without.
        obs: raw observations `[T, N, ...]`, or a dict of such.
        episode_starts: bool `[T, N]`, True where an episode begins.
        state: what the call for the steps before returned; None before the first.
    """
    n_steps, n_envs = episode_starts.shape
    memory, outputs = student.plan.memory, np.empty((n_steps, n_envs, student.plan.n_outputs), np.float32)
    for step in range(n_steps):
        now = {key: value[step] for key, value in obs.items()} if isinstance(obs, dict) else obs[step]
        outputs[step], state = student.step(now, memory.taken_up(state, n_envs, episode_starts[step]))
    return outputs, state
