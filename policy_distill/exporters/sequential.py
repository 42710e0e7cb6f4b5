"""An artefact of a student with a memory, along episodes: one observation after another, as a robot sees them.

In: the artefact's step, and where episodes begin. Out: its actions for all observations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy_distill.system.nested import count, take

Step = Callable[[Any, np.ndarray | None, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From one raw observation `[1, ...]`, masks `[1, n]` or None, and a state `[1, S]` to the action and the next state"""


def act_along(
    step: Step, n_remembered: int, obs: Any, action_masks: np.ndarray | None, episode_starts: np.ndarray
) -> np.ndarray:
    """Return the executed actions `[B, ...]` for observations one after another; nothing is remembered at a start."""
    actions, state = [], np.zeros((1, n_remembered), np.float32)
    for row in range(count(obs)):
        one = slice(row, row + 1)
        state = np.zeros_like(state) if episode_starts[row] else state
        action, state = step(take(obs, one), None if action_masks is None else action_masks[one], state)
        actions.append(action)
    return np.concatenate(actions)
