"""The last steps of acting in NumPy: from a network's outputs to one executed action, for each kind of action.

In: the buffer that outputs are written into. Out: a function that makes a new action of what stands there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy_distill.student.plan import Plan

# The ufunc behind np.clip, which has no public name; np.clip itself costs ten times as much on a handful of numbers.
clip = getattr(getattr(np, "_core", None) or getattr(np, "core"), "umath").clip  # noqa: B009 - not in NumPy's stubs


def is_squashed(plan: Plan) -> bool:
    """Say whether tanh comes after the last linear layer, by the head or as a layer."""
    return plan.head.kind == "tanh" or plan.layers[-1]["op"] == "tanh"


def make_finish(plan: Plan, out: np.ndarray, *, squashed: bool) -> Callable[[], Any]:
    """Return what makes the executed action, as a new object, of what stands in `out` then.

    `out` has what the last of `folding.mode_layers` gives; tanh comes next where `squashed`.
    """
    action_map = plan.action_map
    if plan.is_choice:
        # Scalars cannot be changed, so the same ones can be handed out again.
        table, argmax = action_scalars(plan), out.argmax
        return lambda: table[argmax()]
    if action_map.kind == "index":
        row = out[None]
        return lambda: plan.actions(row)[0]
    shaped, dtype = out.reshape(action_map.shape), np.dtype(action_map.dtype)
    cast = (lambda action: action) if out.dtype == dtype else (lambda action: action.astype(dtype))
    if action_map.kind == "none":
        return lambda: cast((np.tanh if squashed else np.array)(shaped))
    assert action_map.low is not None and action_map.high is not None
    low, high = action_map.low.astype(out.dtype), action_map.high.astype(out.dtype)
    if action_map.kind == "clip":
        if squashed:
            return lambda: cast(clip(np.tanh(shaped), low, high))
        return (lambda: clip(shaped, low, high)) if out.dtype == dtype else (lambda: cast(clip(shaped, low, high)))
    return _unsquasher(shaped, low, high, cast, squashed)


def _unsquasher(
    shaped: np.ndarray, low: np.ndarray, high: np.ndarray, cast: Callable[[np.ndarray], np.ndarray], squashed: bool
) -> Callable[[], np.ndarray]:
    half = 0.5 * (high - low)
    squash = np.tanh if squashed else np.array
    if (low == -1.0).all() and (high == 1.0).all():
        return lambda: cast(squash(shaped))

    def finish() -> np.ndarray:
        action = squash(shaped)
        action += 1.0
        action *= half
        action += low
        return cast(action)

    return finish


def action_scalars(plan: Plan) -> list[Any]:
    """Return the executed action of each option of a choice."""
    return list(plan.action_map.execute(np.arange(plan.head.n_scores)))
