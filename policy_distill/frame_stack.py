"""Finds out how many frames the observations of environments hold, from the wrappers around them.

In: environments. Out: a number of frames, 1 where nothing tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ATTRIBUTES = ("n_stack", "stack_size", "num_stack")
"""What wrappers that stack frames call their number: SB3 and ours, Gymnasium, and Gym before it."""


def frames_of(envs: Any) -> int:
    """Return how many frames one observation holds, of `Environments`; those in other processes are not looked into."""
    for wrapper in _wrappers(envs):
        if "FrameStack" in type(wrapper).__name__:
            for holder in (wrapper, getattr(wrapper, "stacked_obs", None)):
                for name in ATTRIBUTES:
                    found = vars(holder).get(name) if hasattr(holder, "__dict__") else None
                    if isinstance(found, int) and found > 1:
                        return found
    return 1


def _wrappers(env: Any) -> Iterator[Any]:
    """Go inwards from environments through what they hold."""
    while env is not None:
        yield env
        held = vars(env) if hasattr(env, "__dict__") else {}
        members = held.get("envs")
        inner = next((held[name] for name in ("vec_env", "vector_env", "venv", "env") if name in held), None)
        env = inner if inner is not None else (members[0] if members else None)
