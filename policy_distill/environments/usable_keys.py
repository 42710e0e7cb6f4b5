"""What of a Dict observation can be read at all.

In: an environment's space. Out: the space of those keys that hold arrays of numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from gymnasium import spaces

from policy_distill.errors import RequestError
from policy_distill.system.notices import say_once


def without_unusable(space: Any, env_id: str) -> Any:
    """Return a Dict space without the keys that hold no arrays of numbers (texts, graphs, sequences), and say so once.

    Neither a teacher nor a student can read them, so that they are no reason to refuse the others. Other spaces are
    returned as they are.
    """
    if not isinstance(space, spaces.Dict):
        return space
    kinds = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Dict)
    # Gymnasium sorts a plain dict.
    usable = OrderedDict((key, sub) for key, sub in space.spaces.items() if isinstance(sub, kinds))
    others = {key: type(sub).__name__ for key, sub in space.spaces.items() if key not in usable}
    if not others:
        return space
    named = ", ".join(f"{key!r} ({kind})" for key, kind in others.items())
    if not usable:
        raise RequestError(
            f"expected observations with arrays, found a Dict of {named} in {env_id}; wrap the environment"
        )
    say_once(env_id, f"the observation's keys {named} hold no arrays: neither teacher nor student sees them")
    return spaces.Dict(usable)  # type: ignore[arg-type]
