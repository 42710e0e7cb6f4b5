"""An episode as it is shown: what a policy observes and does, and a picture of each step.

In: a policy and an environment that can draw itself. Out: steps, one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.perturbations.conditions import Condition
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Policy
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.nested import map_arrays

MAX_STEPS = 2000
"""Steps shown at most."""
DRAWN = Condition("drawn", (), (("render_mode", "rgb_array"),))
"""An environment that draws frames."""


@dataclass(frozen=True)
class Shown:
    """One state of an episode."""

    frame: np.ndarray
    """A picture of it, bytes `[H, W, 3]`."""
    obs: Any
    """What was observed in it, raw, `[1, ...]` or a dict of such."""
    action: np.ndarray | None
    """The executed action `[1, *shape]` that followed; None where the episode had ended."""
    reward: float
    """The reward of that action."""
    action_masks: np.ndarray | None = None
    """Bool `[1, A]`, the actions that were allowed, of a policy that takes masks; else None."""


def shown_steps(policy: Policy, make: Callable[[], gymnasium.Env[Any, Any]], seed: int, height: int) -> Iterator[Shown]:
    """Yield the states of the episode of `seed`, pictures `height` pixels high, until it ends or `MAX_STEPS` are done.

    Raises:
        RequestError: for an environment that does not draw itself.
    """
    env = make()
    with closing(EnvironmentList([env])) as envs:
        envs.reset(0, seed)
        state, start, ended = None, np.ones(1, dtype=bool), False
        masked = policy.takes_action_masks
        for _ in range(MAX_STEPS):
            stop_if_requested("while an episode was shown")
            frame, obs = _small(env.render(), height), map_arrays(np.copy, envs.obs)
            if ended:
                yield Shown(frame, obs, None, 0.0)
                return
            masks = envs.action_masks() if masked else None
            options = {} if masks is None else {"action_masks": masks}
            actions, state = policy.predict(envs.obs, state, start, True, **options)
            rewards, terminated, truncated = envs.step(actions)
            start, ended = np.zeros(1, dtype=bool), bool(terminated[0] or truncated[0])
            yield Shown(frame, obs, actions, float(rewards[0]), masks)


def _small(frame: Any, height: int) -> np.ndarray:
    """Return a frame `[H, W, 3]` of that height, its width even, by skipping rows and columns."""
    if not isinstance(frame, np.ndarray) or frame.ndim != 3:
        raise RequestError(f"expected an environment that draws frames (rgb_array), found {type(frame).__name__}")
    rows_there, columns_there = frame.shape[:2]
    rows = np.arange(height) * rows_there // height
    columns = max(2, round(columns_there * height / rows_there) // 2 * 2)
    return np.ascontiguousarray(frame[rows][:, np.arange(columns) * columns_there // columns])
