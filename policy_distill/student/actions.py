"""Actions on their way out of a policy: from a head's action to what the environment executes. NumPy alone.

And on their way back in, where a student remembers what it did: from an executed action to numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

KINDS = ("index", "clip", "unsquash", "none")


@dataclass(frozen=True)
class ActionMap:
    """How a policy's own action becomes the executed one.

    `index`: an integer action (or vector of them), `start` added. `clip`: clipped to the bounds, as SB3 does for
    Gaussian policies. `unsquash`: from [-1, 1] to the bounds, as SB3 does for squashed policies. `none`: as it is.
    """

    kind: str
    """One of `KINDS`."""
    shape: tuple[int, ...]
    """Shape of one executed action."""
    dtype: str
    """NumPy dtype of the executed action."""
    low: np.ndarray | None = None
    """Lower bounds of the action's shape, for clip and unsquash."""
    high: np.ndarray | None = None
    """Upper bounds."""
    start: int | tuple[int, ...] = 0
    """What index 0 means to the environment."""

    def __post_init__(self) -> None:
        """Check the kind and the bounds."""
        if self.kind not in KINDS:
            raise ValueError(f"action map kind must be one of {KINDS}, not {self.kind!r}")
        if self.kind in ("clip", "unsquash") and (self.low is None or self.high is None):
            raise ValueError(f"an action map of kind {self.kind!r} needs low and high")

    def execute(self, actions: np.ndarray) -> np.ndarray:
        """Map policy actions `[B]` or `[B, A]` to executed actions `[B, *shape]` of `dtype`."""
        if self.kind == "index":
            shifted = np.asarray(actions) + np.asarray(self.start)
            return np.asarray(shifted, dtype=self.dtype).reshape((len(actions), *self.shape))
        shaped = np.asarray(actions).reshape((len(actions), *self.shape))
        if self.kind == "clip":
            shaped = np.clip(shaped, *self._bounds)
        elif self.kind == "unsquash":
            assert self.low is not None and self.high is not None
            shaped = self.low + 0.5 * (shaped + 1.0) * (self.high - self.low)
        return np.asarray(shaped, dtype=self.dtype)

    @cached_property
    def _bounds(self) -> tuple[Any, Any]:
        """The bounds, as single numbers where all dimensions have the same: a batch is clipped ten times as fast."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        same = low.size > 0 and (low == low.flat[0]).all() and (high == high.flat[0]).all()
        return (low.flat[0], high.flat[0]) if same else (low, high)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "low": None if self.low is None else np.asarray(self.low, np.float64).ravel().tolist(),
            "high": None if self.high is None else np.asarray(self.high, np.float64).ravel().tolist(),
            "start": list(self.start) if isinstance(self.start, tuple) else self.start,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ActionMap:
        """Rebuild from `to_json`."""
        shape = tuple(values["shape"])
        bound = {
            k: None if values[k] is None else np.asarray(values[k], values["dtype"]).reshape(shape)
            for k in ("low", "high")
        }
        start = values["start"]
        return cls(
            values["kind"], shape, values["dtype"], start=tuple(start) if isinstance(start, list) else start, **bound
        )


WIDEST = 1e6
"""Bounds further apart than this are none: between them an action would hardly be told from another."""


@dataclass(frozen=True)
class ActionFeatures:
    """The numbers that an executed action is remembered by.

    A choice is one of some numbers that is 1, a bit is itself, and what has bounds lies between -1 and 1 within them.
    """

    sizes: tuple[int, ...]
    """Options of each choice; empty for what is none."""
    action_map: ActionMap
    """What made the executed actions."""

    @cached_property
    def n(self) -> int:
        """Numbers for one action."""
        return sum(self.sizes) if self.sizes else int(np.prod(self.action_map.shape))

    @cached_property
    def starts(self) -> np.ndarray:
        """What option 0 of each choice is executed as, int64 `[choices]`."""
        return np.broadcast_to(np.ravel(self.action_map.start), (max(len(self.sizes), 1),)).astype(np.int64)

    @cached_property
    def scale(self) -> tuple[np.ndarray, np.ndarray]:
        """What is subtracted from each dimension of a continuous action, and what it is then multiplied by, float32."""
        low, high = self.action_map.low, self.action_map.high
        middle, factor = np.zeros(self.n), np.ones(self.n)
        if low is not None and high is not None:
            low, high = (bound.ravel().astype(np.float64) for bound in (low, high))
            bounded = (high > low) & (high - low <= WIDEST)
            low, high = low[bounded], high[bounded]
            middle[bounded], factor[bounded] = 0.5 * (low + high), 2.0 / (high - low)
        return middle.astype(np.float32), factor.astype(np.float32)

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """Return the numbers `[B, n]`, float32, of executed actions `[B, *shape]`."""
        flat = np.asarray(actions).reshape(len(actions), -1)
        if self.sizes:
            columns = flat.astype(np.int64) - self.starts
            chosen = [columns[:, [k]] == np.arange(size) for k, size in enumerate(self.sizes)]
            return np.concatenate(chosen, axis=1).astype(np.float32)
        middle, factor = self.scale
        return (flat.astype(np.float32) - middle) * factor
