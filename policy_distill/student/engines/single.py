"""One raw observation, as acting takes it: refused in one sentence where it is something else.

In: what was handed to `act`. Out: a batch of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from policy_distill.student.plan import Plan


def batch_of_one(plan: Plan, obs: Any) -> Any:
    """Return one raw observation with a batch dimension.

    Raises:
        ValueError: for anything else than one observation of the space, a batch of one included.
    """
    if isinstance(obs, Mapping) and plan.wiring.observations:
        obs = plan.wiring.vector(obs)
    try:
        batch, single = plan.featurizer.batched(obs)
    except (TypeError, KeyError, IndexError, ValueError) as error:
        # The right shapes are refused for their values, which the error names.
        raise (error if _shapes(plan, obs) == _expected(plan) else refusal(plan, obs)) from None
    if not single:
        raise refusal(plan, obs)
    return batch


def by_name(plan: Plan, obs: Any) -> np.ndarray:
    """Return the vector of an observation by name, for a caller that noticed that it is no vector.

    Raises:
        ValueError: where it is not by name either, or other names.
    """
    if not (isinstance(obs, Mapping) and plan.wiring.observations):
        raise refusal(plan, obs) from None
    return plan.wiring.vector(obs)


def refusal(plan: Plan, obs: Any) -> ValueError:
    """Return the error for what is not one observation; a caller that notices by other means raises it."""
    wanted, found = (_words(shapes) for shapes in (_expected(plan), _shapes(plan, obs)))
    return ValueError(f"expected one observation of {wanted}, found {found}; predict takes batches")


def _expected(plan: Plan) -> Any:
    shapes = {part.key: part.shape for part in plan.featurizer.parts}
    return shapes if plan.featurizer.space["type"] == "Dict" else shapes[""]


def _shapes(plan: Plan, obs: Any) -> Any:
    """Return the shape of an observation's array, or those of its keys that are observed; for what has none, a word."""
    if isinstance(obs, dict) and plan.featurizer.space["type"] == "Dict":
        return {part.key: _shape(obs.get(part.key)) for part in plan.featurizer.parts}
    return _shape(obs)


def _shape(value: Any) -> Any:
    try:
        array = np.asarray(value)
    except ValueError:
        return "lists of unequal lengths"
    return array.shape if array.dtype.kind in "biuf" else type(value).__name__


def _words(shapes: Any) -> str:
    if isinstance(shapes, dict):
        return "a dict with " + ", ".join(f"{key!r}: {_words(shape)}" for key, shape in shapes.items())
    return shapes if isinstance(shapes, str) else f"shape {shapes}"
