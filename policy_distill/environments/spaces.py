"""What a Gymnasium space says of itself, asked by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Space, spaces


def subspaces(space: Any) -> Mapping[str, Space[Any]]:
    """Return the spaces of a Dict by their keys; nothing for any other."""
    return space.spaces if isinstance(space, spaces.Dict) else {}


def choices_of(space: Any) -> Any:
    """Return the numbers of choices of a space of choices, or the number of bits; None for any other."""
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec
    return space.n if isinstance(space, spaces.Discrete | spaces.MultiBinary) else None


def start_of(space: Any) -> np.ndarray:
    """Return what the choices of a space are counted from, `[]` or as its actions are; 0 where they say nothing."""
    return np.asarray(space.start if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else 0)
