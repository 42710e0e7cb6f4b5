"""What tasks are called, of what a caller hands over.

In: pairs of a teacher and an environment. Out: the same by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from gymnasium.envs.registration import EnvSpec

from policy_distill.errors import RequestError
from policy_distill.student.many import MOST_TASKS


def pairs_of(tasks: Sequence[tuple[Any, Any]] | Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Return the pairs of teacher and environment by names, which are those of folders and metrics.

    Raises:
        RequestError: for what are no such pairs, or a name that no folder can have.
    """
    if isinstance(tasks, str) or not isinstance(tasks, Iterable):
        raise RequestError(
            f"expected tasks such as [(teacher, env), (teacher, env)], found {type(tasks).__name__}; list them"
        )
    pairs = list(tasks.values()) if isinstance(tasks, Mapping) else list(tasks)
    if not 2 <= len(pairs) <= MOST_TASKS:
        raise RequestError(
            f"expected from 2 to {MOST_TASKS} tasks, each a pair of a teacher and an environment, found {len(pairs)}; "
            "use distill for one"
        )
    for number, one in enumerate(pairs, 1):
        if not isinstance(one, tuple | list) or len(one) != 2:
            size = f" of {len(one)}" if isinstance(one, tuple | list) else ""
            raise RequestError(
                f"expected each task as a pair (teacher, env), found a {type(one).__name__}{size} as number {number}; "
                "add what it lacks, or take it out"
            )
    names = list(tasks) if isinstance(tasks, Mapping) else task_names_of([env for _, env in pairs])
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.+-]{0,99}", name):
            raise RequestError(f"expected names of letters, digits, '-', '_', '+' and '.', found {name!r}; choose one")
    return dict(zip(names, (tuple(pair) for pair in pairs), strict=True))


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
