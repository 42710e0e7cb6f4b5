"""Actions on their way out of a policy: from a family's action to what the environment executes. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

KINDS = ("index", "clip", "unsquash", "none")
MASKED = np.float32(-1e8)
"""Logit of an action that is ruled out."""


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
    def from_json(cls, values: dict[str, Any]) -> ActionMap:
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


def most_likely(family: str, config: dict[str, Any], params: np.ndarray) -> np.ndarray:
    """Return the deterministic action of each row of `params` `[B, P]`, or of the means alone for a Gaussian.

    The NumPy twin of `ActionDistribution.mode`.
    """
    if family == "categorical":
        return params.argmax(axis=1)
    if family == "multi_categorical":
        return np.stack([head.argmax(axis=1) for head in _heads(config, params)], axis=1)
    if family == "bernoulli":
        return (params > 0).astype(np.int64)
    if family in ("diagonal_gaussian", "squashed_gaussian"):
        mean = params[:, : config["dim"]]
        return mean if family == "diagonal_gaussian" else np.tanh(mean)
    return params


def rule_out(family: str, params: np.ndarray, masks: Any) -> np.ndarray:
    """Return `params` `[B, P]` of a discrete family with the actions ruled out that `masks` `[B, P]` or `[P]` forbid.

    Raises:
        ValueError: for a family of continuous actions, or masks of another shape.
    """
    if family not in ("categorical", "multi_categorical", "bernoulli"):
        raise ValueError("expected no action_masks for continuous actions, which cannot be ruled out")
    allowed = np.asarray(masks, dtype=bool)
    if allowed.size not in (params.size, params.shape[1]):
        raise ValueError(f"expected action_masks of shape {params.shape}, found shape {allowed.shape}")
    return np.where(allowed.reshape(-1, params.shape[1]), params, MASKED)


def sample(family: str, config: dict[str, Any], params: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one action for each row of `params` `[B, P]`; the NumPy twin of `ActionDistribution.sample`."""
    if family == "categorical":
        return _sample_categorical(params, rng)
    if family == "multi_categorical":
        return np.stack([_sample_categorical(head, rng) for head in _heads(config, params)], axis=1)
    if family == "bernoulli":
        return (params > rng.logistic(size=params.shape)).astype(np.int64)
    if family in ("diagonal_gaussian", "squashed_gaussian"):
        mean, log_std = params[:, : config["dim"]], params[:, config["dim"] :]
        drawn = mean + np.exp(log_std) * rng.standard_normal(mean.shape, dtype=np.float32)
        return drawn if family == "diagonal_gaussian" else np.tanh(drawn)
    return params


def _sample_categorical(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # The Gumbel-max trick: one argmax, no cumulative sums, and safe for any size of logits.
    return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def _heads(config: dict[str, Any], params: np.ndarray) -> list[np.ndarray]:
    return np.split(params, np.cumsum(config["nvec"])[:-1], axis=1)
