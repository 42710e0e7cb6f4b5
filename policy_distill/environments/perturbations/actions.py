"""Discrete actions in place of others: which are allowed, and one of those that was not chosen.

In: a Discrete, MultiDiscrete or MultiBinary space, and masks as sb3-contrib's `action_masks` gives them.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from policy_distill.environments.spaces import start_of


def action_masks(env: gymnasium.Env[Any, Any]) -> np.ndarray | None:
    """Return which actions an environment allows now, bool `[sum of choices]`; None where it rules out none."""
    if not env.has_wrapper_attr("action_masks"):
        return None
    return np.asarray(env.get_wrapper_attr("action_masks")(), dtype=bool).ravel()


def other_action(space: Any, action: Any, rng: np.random.Generator, masks: np.ndarray | None = None) -> Any:
    """Draw uniformly among the allowed actions other than `action`; where there is none, return `action`."""
    start, allowed = start_of(space), _choices(space, masks)
    chosen = np.ravel(action) - np.ravel(start)
    alone = [len(choices) == 1 and choices[0] == one for choices, one in zip(allowed, chosen, strict=True)]
    if all(alone) or not all(map(len, allowed)):
        return action
    while True:
        drawn = np.array([choices[rng.integers(len(choices))] for choices in allowed])
        if np.any(drawn != chosen):
            return (drawn.reshape(np.shape(action)) + start).astype(space.dtype)[()]


def is_allowed(space: Any, action: Any, masks: np.ndarray | None) -> bool:
    """Say whether an action is allowed."""
    if masks is None:
        return True
    chosen = np.ravel(action) - np.ravel(start_of(space))
    return all(one in choices for choices, one in zip(_choices(space, masks), chosen, strict=True))


def _choices(space: Any, masks: np.ndarray | None) -> list[np.ndarray]:
    """Return the allowed choices, counted from 0, of each component."""
    if isinstance(space, spaces.Discrete):
        sizes = [int(space.n)]
    elif isinstance(space, spaces.MultiDiscrete):
        sizes = space.nvec.ravel().tolist()
    else:
        sizes = [2] * int(np.prod(space.shape))
    if masks is None:
        return [np.arange(size) for size in sizes]
    return [np.flatnonzero(part) for part in np.split(masks, np.cumsum(sizes)[:-1])]
