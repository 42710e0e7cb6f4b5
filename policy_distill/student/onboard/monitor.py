"""What a student came to while it acted as it should, in few numbers: a monitor says how unlike that a step is.

In: observations and executed actions. Out: a novelty, at most 1 of what is known. Two sums of squares are asked, and
the larger one counts: how far an observation lies from those that were seen (Mahalanobis' distance), and how far from
what the observation and the action before lead to. Of either those directions count that vary least, as many as are
affordable. NumPy alone.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from policy_distill.student.features import Featurizer

MOST_ROWS = 2**10
"""Directions of one kind."""
DTYPES = {"center": "<f8", "low": "<f8", "high": "<f8", "action_center": "<f4", "place": "<f4", "step": "<f4"}
LARGEST = 3.0e38
"""A novelty beyond all others, also of what is no number."""


@dataclass(frozen=True, eq=False)
class Monitor:
    """The numbers of a monitor; `D` numbers are observed, an action is `A` numbers as of `Plan.taken`."""

    center: np.ndarray
    """float64 `[D]`, the mean of what was observed."""
    low: np.ndarray
    """float64 `[D]`, the least that was observed."""
    high: np.ndarray
    """float64 `[D]`, the largest."""
    action_center: np.ndarray
    """float32 `[A]`."""
    place: np.ndarray
    """float32 `[K, D]`: directions of an observation, each scaled so that the sum of their squares is a novelty."""
    step: np.ndarray
    """float32 `[L, 2 D + A]`: the same of an observation, the one before and the action between them."""
    false_alarms: float
    """Share of a fresh episode's steps that are above 1, in the mean and at most."""
    n_episodes: int
    """Held-out episodes that this rests on."""
    reached: float
    """The share on those."""

    @property
    def n_numbers(self) -> int:
        """Numbers that acting with it needs."""
        return sum(getattr(self, name).size for name in DTYPES)

    def fits(self, n_observed: int, n_taken: int) -> bool:
        """Say whether it is of observations of so many numbers, and of such actions, in all its parts."""
        one, action = (n_observed,), (n_taken,)
        observed = all(shape == one for shape in (self.center.shape, self.low.shape, self.high.shape))
        wide = (2 * n_observed + n_taken,)
        return observed and (self.action_center.shape, self.place.shape[1:], self.step.shape[1:]) == (action, one, wide)

    def place_novelty(self, obs: np.ndarray) -> np.ndarray:
        """Return the novelty `[B]` of observations `[B, D]` by themselves."""
        return _squares((obs - self.center).astype(np.float32), self.place)

    def along(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Return the novelty `[T]` of an episode: observations `[T, D]`, and the actions' numbers `[T, A]`."""
        x = (obs - self.center).astype(np.float32)
        found = _squares(x, self.place)
        before = np.concatenate([x[1:], x[:-1], actions[:-1] - self.action_center], axis=1)
        found[1:] = np.maximum(found[1:], _squares(before, self.step))
        return found

    def outside(self, obs: np.ndarray) -> np.ndarray:
        """Return which of the numbers of one observation `[D]` were never so small or so large, bool `[D]`."""
        return ~((obs >= self.low) & (obs <= self.high))

    def clamp(self, obs: np.ndarray) -> np.ndarray:
        """Return the observation `[D]` within what was seen; what is no number becomes the mean."""
        return np.clip(np.where(np.isnan(obs), self.center, obs), self.low, self.high)

    def summary(self) -> dict[str, Any]:
        """Return what is said of it: its numbers, the episodes that it rests on, and its rate of false alarms."""
        rates = {"false_alarms": self.false_alarms, "reached": self.reached}
        return {"numbers": self.n_numbers, "held_out_episodes": self.n_episodes, **rates}

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; arrays as the base64 of their bytes."""
        arrays = {name: _written(getattr(self, name), dtype) for name, dtype in DTYPES.items()}
        told = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in DTYPES}
        return {**arrays, **told}


def read_monitor(record: Mapping[str, Any]) -> Monitor | None:
    """Return the monitor of a file's record; None where it has none.

    Raises:
        KeyError, TypeError, ValueError: for one of another form; whether it is this student's, `fits` says.
    """
    found = record.get("monitor")
    if found is None:
        return None
    arrays = {name: np.frombuffer(binascii.a2b_base64(found[name]), dtype) for name, dtype in DTYPES.items()}
    n_observed, n_taken = len(arrays["center"]), len(arrays["action_center"])
    wide = 2 * n_observed + n_taken
    arrays |= {"place": arrays["place"].reshape(-1, n_observed), "step": arrays["step"].reshape(-1, wide)}
    if not n_observed or len(arrays["low"]) != n_observed or len(arrays["high"]) != n_observed:
        raise ValueError("a monitor with parts that do not fit each other")
    if max(len(arrays["place"]), len(arrays["step"])) > MOST_ROWS or not all(map(_finite, arrays.values())):
        raise ValueError("a monitor that is too large, or of something that is not a number")
    false_alarms, reached, n = found["false_alarms"], found["reached"], found["n_episodes"]
    if not (0 < false_alarms < 1 and 0 <= reached <= 1 and type(n) is int and 0 < n < 2**31):
        raise ValueError("a monitor without its rate of false alarms")
    return Monitor(**arrays, false_alarms=float(false_alarms), n_episodes=n, reached=float(reached))


def can_watch(featurizer: Featurizer) -> bool:
    """Say whether there can be a monitor: of vectors, alone or in a Dict, and neither of images nor of choices."""
    return all(part.offsets is None and part.scale is None for part in featurizer.parts) and not featurizer.is_image


def numbers_of(featurizer: Featurizer, obs: Any) -> np.ndarray:
    """Return the numbers `[B, D]`, float64, of a batch of observations, the keys of a Dict side by side."""
    rows = [np.asarray(obs[part.key] if part.key else obs, np.float64) for part in featurizer.parts]
    return np.concatenate([row.reshape(len(row), -1) for row in rows], axis=1)


def _squares(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        found: np.ndarray = np.square(x @ rows.T).sum(axis=1, dtype=np.float32)
    # What is no number, or beyond all numbers, is as novel as can be.
    return np.where(found <= LARGEST, found, np.float32(LARGEST))


def _written(array: np.ndarray, dtype: str) -> str:
    return binascii.b2a_base64(np.ascontiguousarray(array, dtype).tobytes(), newline=False).decode()


def _finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())
