"""What a buffer keeps beside features and labels, where a learner or a loss asks for it by name.

In: names. Out: the room that they take, and their values of a rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from policy_distill.collection.rollout import Rollout
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.students import Loss
from policy_distill.training.buffer import Shapes
from policy_distill.training.learners import find_learner

RECORDED = ("actions", "rewards", "terminated", "truncated")
"""Those that a source notes where it is asked to; the others a rollout always has."""

KEPT = ("episode_starts", "action_masks", "teacher_value", *RECORDED)
"""All that may be asked for; the meaning of each stands with `Rollout`. `teacher_value` is what the teacher expects of
a state, in raw units of reward."""


def check_columns(names: Sequence[str]) -> None:
    """Check what was asked for.

    Raises:
        RequestError: for a name that is none.
    """
    if unknown := [name for name in names if name not in KEPT]:
        raise RequestError(f"expected columns among {', '.join(KEPT)}, found {', '.join(unknown)}")


def asked_for(loss: Loss, networks: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that a loss and the learners of networks read.

    A loss names them in an attribute `columns`, where it reads any: it may be a plain function.

    Raises:
        RequestError: for a name that is none.
    """
    names = [*getattr(loss, "columns", ()), *(name for one in networks for name in find_learner(one).columns(one))]
    check_columns(names)
    return tuple(dict.fromkeys(names))


def shapes_of(names: Sequence[str], teacher: Teacher) -> Shapes:
    """Return shape and type of one state's value, by name."""
    space: Any = teacher.action_space
    kind = torch.float32 if isinstance(space, spaces.Box) else torch.int64
    known: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        **dict.fromkeys(("episode_starts", "terminated", "truncated"), ((), torch.bool)),
        "action_masks": ((teacher.family.head.n_scores,), torch.bool),
        "actions": (tuple(space.shape), kind),
        **dict.fromkeys(("rewards", "teacher_value"), ((), torch.float32)),
    }
    return {name: known[name] for name in names}


def values_of(names: Sequence[str], rollout: Rollout, expected: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Return the values of a rollout, `[T * N, ...]`, by name; all actions are allowed where nothing is ruled out.

    `expected` are the teacher's own values, `[T * N]`.
    """
    n_steps, n_envs = rollout.episode_starts.shape
    found: dict[str, torch.Tensor] = {}
    for name in names:
        if name == "teacher_value":
            assert expected is not None, "the stream asked the teacher"
            found[name] = expected
            continue
        if name == "episode_starts":
            values: np.ndarray | None = rollout.episode_starts
        elif name == "action_masks":
            values = rollout.action_masks
        else:
            values = rollout.columns[name]
        if values is not None:
            found[name] = torch.from_numpy(values.reshape(n_steps * n_envs, *values.shape[2:]))
        else:
            found[name] = torch.ones(n_steps * n_envs, 1, dtype=torch.bool)
    return found
