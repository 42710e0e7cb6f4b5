"""Finds out how many frames the observations of environments hold, from the wrappers around them.

In: environments. Out: a number of frames, 1 where nothing tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gymnasium.wrappers import FrameStackObservation

from policy_distill.environments.wrappers import FrameStack
from policy_distill.system.foreign import asked, held_by

ATTRIBUTES = ("n_stack", "stack_size", "num_stack")
"""What wrappers that stack frames call their number: SB3 and ours, Gymnasium, and Gym before it."""


def frames_of(envs: Any) -> int:
    """Return how many frames one observation holds, of `Environments`.

    Environments in other processes are looked into where SB3 steps them; Gymnasium's do not answer without harm.
    """
    for wrapper in _wrappers(envs):
        held = held_by(wrapper)
        if "remotes" in held and asked(wrapper, "env_is_wrapped") is not None:
            return _in_processes(wrapper)
        if "FrameStack" in type(wrapper).__name__:
            for holder in (held, held_by(held.get("stacked_obs"))):
                for name in ATTRIBUTES:
                    found = holder.get(name)
                    if isinstance(found, int) and found > 1:
                        return found
    return 1


def has_blank_frames(envs: Any) -> bool:
    """Say whether frames of another kind than zeros stand before an episode's first, of `Environments`."""
    return any(isinstance(wrapper, FrameStack) and wrapper.blank is not None for wrapper in _wrappers(envs))


def _in_processes(vector: Any) -> int:
    """Ask the first process of a `SubprocVecEnv`; a question for an attribute that is not there would end it."""
    for kind, name in ((FrameStack, "n_stack"), (FrameStackObservation, "stack_size")):
        if vector.env_is_wrapped(kind, indices=[0])[0]:
            return int(vector.get_attr(name, indices=[0])[0])
    return 1


def _wrappers(env: Any) -> Iterator[Any]:
    """Go inwards from environments through what they hold."""
    while env is not None:
        yield env
        held = held_by(env)
        members = held.get("envs")
        inner = next((held[name] for name in ("vector", "venv", "env") if name in held), None)
        env = inner if inner is not None else (members[0] if members else None)
