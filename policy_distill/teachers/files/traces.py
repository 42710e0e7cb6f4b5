"""What an agent's own attributes tell of `VecNormalize`: SB3 keeps the last observations, as they came and as seen.

In: the attributes of a saved or live model. Out: whether it was trained on normalised observations, where they tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.teachers.files.stand_ins import ArrayStandIn

OFF_POLICY = ("learning_starts", "replay_buffer_class")
"""Attributes of algorithms with a replay buffer: these keep the observation before under the same name."""


def trained_normalized(data: dict[str, Any]) -> bool | None:
    """Say whether a model was trained on normalised observations; None where its attributes do not tell.

    `_last_original_obs` is set for algorithms without a replay buffer only where a `VecNormalize` is around the
    environment. Normalised observations are float32, which tells for all where the original ones are of another type.
    """
    last, original = data.get("_last_obs"), data.get("_last_original_obs")
    off_policy = any(name in data for name in OFF_POLICY)
    if original is None:
        # Never set while training: not under VecNormalize; or never trained.
        return False if last is not None and not off_policy else None
    kinds = [(_dtype(seen), _dtype(came)) for seen, came in _pairs(last, original)]
    if any(seen is not None and seen != came for seen, came in kinds):
        return True
    # Of another type than float32 and alike: only rewards were normalised, or this is of a version before SB3 1.0.
    alike = any(seen is not None and seen != np.float32 for seen, _ in kinds)
    return None if off_policy or alike else True


def _pairs(last: Any, original: Any) -> list[tuple[Any, Any]]:
    if isinstance(original, dict):
        return [(last.get(key) if isinstance(last, dict) else None, value) for key, value in original.items()]
    return [(last, original)]


def _dtype(value: Any) -> np.dtype[Any] | None:
    try:
        return np.asarray(value).dtype if isinstance(value, ArrayStandIn | np.ndarray) else None
    except ValueError:
        # A damaged array tells nothing; what is needed of the file is checked on its own.
        return None
