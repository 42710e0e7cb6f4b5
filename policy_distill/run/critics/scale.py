"""The running mean and deviation of numbers that come in parts (Chan et al. 1979)."""

from __future__ import annotations

import math

import numpy as np

SMALLEST = 1e-6
"""Of a deviation that something is divided by."""


class RunningScale:
    """Of all numbers so far."""

    def __init__(self) -> None:
        self.n = 0
        """Numbers so far."""
        self.mean = 0.0
        self._squares = 0.0

    @property
    def deviation(self) -> float:
        """Their standard deviation; 1 where they do not vary."""
        found = math.sqrt(self._squares / self.n) if self.n else 0.0
        return found if found > SMALLEST * max(1.0, abs(self.mean)) else 1.0

    def add(self, numbers: np.ndarray) -> None:
        """Add numbers `[n]`, float64."""
        if not len(numbers):
            return
        mean, total = float(numbers.mean()), self.n + len(numbers)
        apart = mean - self.mean
        self._squares += float(np.square(numbers - mean).sum()) + apart**2 * self.n * len(numbers) / total
        self.mean += apart * len(numbers) / total
        self.n = total

    def state(self) -> np.ndarray:
        """Return all of it, float64 `[3]`."""
        return np.array([self.n, self.mean, self._squares])

    @classmethod
    def of(cls, state: np.ndarray) -> RunningScale:
        """Return the scale that `state` was of.

        Raises:
            ValueError: for other numbers.
        """
        n, mean, squares = (float(one) for one in state)
        if not (n >= 0 and squares >= 0 and math.isfinite(n + mean + squares)):
            raise ValueError("the scale of values is damaged")
        found = cls()
        found.n, found.mean, found._squares = int(n), mean, squares
        return found
