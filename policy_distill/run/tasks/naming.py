"""What tasks are called, where nobody says it.

In: environments, and names that were given. Out: a name for each, which is that of a folder and of metrics.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from gymnasium.envs.registration import EnvSpec

from policy_distill.errors import RequestError


def task_names_of(envs: Sequence[Any], given: Sequence[str] = ()) -> list[str]:
    """Return what tasks are called: as `given`, or after their environments, `cartpole` for CartPole-v1.

    A second task in the same environment is `cartpole-2`.

    Raises:
        RequestError: for a name that was given twice.
    """
    found, seen = [], Counter[str](name for name in given if name)
    if twice := [name for name, n in seen.items() if n > 1]:
        raise RequestError(f"expected a name for each task, found {twice[0]} twice; choose another")
    for env, own in zip_longest(envs, given, fillvalue=""):
        name = own or _plain_name(env)
        if not own:
            seen[name] += 1
            name = name if seen[name] == 1 else f"{name}-{seen[name]}"
        found.append(name)
    return found


def _plain_name(env: Any) -> str:
    known = env.id if isinstance(env, EnvSpec) else env if isinstance(env, str) else "task"
    plain = re.sub(r"-v\d+$", "", re.split(r"[:/]", known)[-1])
    return re.sub(r"[^\w.+-]+", "-", plain).strip("-.").lower() or "task"
