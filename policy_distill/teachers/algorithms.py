"""Which algorithm an agent is of, found from what its zip holds."""

from __future__ import annotations

from typing import Any

from policy_distill.errors import RequestError
from policy_distill.teachers.safe_load import reference_of

ON_POLICY = ("ppo", "a2c")
"""Algorithms whose policy is an `ActorCriticPolicy`."""

SUPPORTED = ON_POLICY


def find_algorithm(data: dict[str, Any], asked: str, place: str) -> str:
    """Return the algorithm's name in lower case.

    Args:
        data: the zip's `data`.
        asked: a name, or `auto` to find it.
        place: the file, for errors.

    Raises:
        RequestError: for an unknown name, or an agent of a kind that is not supported.
    """
    if asked != "auto":
        if asked.lower() not in SUPPORTED:
            raise RequestError(f"expected an algorithm among auto, {', '.join(SUPPORTED)}, found {asked!r}")
        return asked.lower()
    reference = reference_of(data.get("policy_class")) or str(data.get("policy_class"))
    if reference.startswith("stable_baselines3.common.policies."):
        return _actor_critic(data)
    raise RequestError(
        f"{place} has the policy {reference}; expected that of PPO or A2C, the algorithms supported so far"
    )


def _actor_critic(data: dict[str, Any]) -> str:
    """PPO and A2C share their policies; only PPO clips."""
    return "ppo" if "clip_range" in data else "a2c"
