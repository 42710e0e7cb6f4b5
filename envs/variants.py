"""Variants of one environment's physics, as environments of their own.

In: the id of an environment and what to change about it. Out: another id, registered with Gymnasium, with the same
spaces, rewards and time limit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

Change = Callable[[Any], None]
"""Changes the unwrapped environment once, after it is made."""


def register_variant(env_id: str, base_id: str, change: Change) -> str:
    """Register `base_id` changed by `change` as `env_id`, and return that."""
    base = gymnasium.spec(base_id)
    gymnasium.register(
        env_id,
        # The entry point is an argument, and so part of how this one is printed: who looks for MuJoCo in it finds it.
        partial(_make, base.entry_point, change, dict(base.kwargs)),
        max_episode_steps=base.max_episode_steps,
        reward_threshold=base.reward_threshold,
    )
    return env_id


def scale(**factors: float) -> Change:
    """Return the change that multiplies attributes, such as `length=2`."""

    def change(env: Any) -> None:
        for name, factor in factors.items():
            setattr(env, name, getattr(env, name) * factor)

    return change


def _make(entry_point: Any, change: Change, base_kwargs: dict[str, Any], **kwargs: Any) -> gymnasium.Env[Any, Any]:
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    env: Any = creator(**{**base_kwargs, **kwargs})
    change(env.unwrapped)
    made: gymnasium.Env[Any, Any] = env
    return made
