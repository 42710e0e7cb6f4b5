"""Distributions of returns whose truth is known: students that lose exactly what they may lose at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Returns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of student, teacher and random policy, `[n]` each."""


@dataclass(frozen=True)
class Case:
    """A distribution of returns; the teacher gains 1 over random, and the student keeps `kept` of it."""

    name: str
    draw: Callable[[np.random.Generator, int], Returns]
    kept: float = 0.95
    fall_rate: float = 0.0
    """The student's true share of episodes that lose more than half of the gain."""
    worst_loss: float | None = None
    """The declared floor, in gains; None for the default."""


def _random(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return a random policy about 0, never above 0.5: its worst episodes lose about a fifth of a gain more."""
    return np.asarray(np.clip(rng.normal(0.0, 0.1, n), -0.3, 0.3))


def falls_of(share: float, cost: float) -> Callable[[np.random.Generator, int], Returns]:
    """Return a student that is its teacher, but for a share of episodes that cost so many gains."""

    def draw(rng: np.random.Generator, n: int) -> Returns:
        teacher = np.ones(n)
        return teacher - cost * (rng.random(n) < share), teacher, _random(rng, n)

    return draw


def _noise(rng: np.random.Generator, n: int) -> Returns:
    teacher = 1 + rng.normal(0, 0.2, n)
    return teacher - 0.05 + np.clip(rng.normal(0, 0.2, n), -0.8, 0.8), teacher, _random(rng, n)


def _skewed(rng: np.random.Generator, n: int) -> Returns:
    teacher = 1 + rng.normal(0, 0.1, n)
    # An exponential of mean 0.05, cut where nothing is left of it.
    return teacher - np.minimum(rng.exponential(0.05, n), 0.9), teacher, _random(rng, n)


def _lucky(rng: np.random.Generator, n: int) -> Returns:
    # Mostly worse, seldom far better: the mean rests on what is rarely seen.
    teacher = np.ones(n)
    return teacher - 0.1 + 1.0 * (rng.random(n) < 0.05), teacher, _random(rng, n)


def _clumsy(rng: np.random.Generator, n: int) -> Returns:
    # Both fall, each in episodes of its own; 0.2 of the teacher's, so that its gain is 1 when it stands at 1.25.
    def plays(share: float) -> np.ndarray:
        return np.asarray(1.25 * (rng.random(n) >= share) + rng.normal(0, 0.05, n))

    return plays(0.24), plays(0.2), _random(rng, n)


def _shared(rng: np.random.Generator, n: int) -> Returns:
    luck = rng.normal(0, 0.3, n)
    return 0.95 + luck + np.clip(rng.standard_t(4, n) * 0.05, -0.4, 0.4), 1 + luck, _random(rng, n)


AT_THE_MARGIN = (
    Case("5% of episodes lose the whole gain", falls_of(0.05, 1.0), fall_rate=0.05),
    Case("2.9% lose 1.7 gains, floor declared", falls_of(0.05 / 1.7, 1.7), fall_rate=0.05 / 1.7, worst_loss=2.0),
    Case("normal", _noise),
    Case("exponential losses", _skewed),
    Case("rarely far better", _lucky),
    Case("both fall", _clumsy, fall_rate=0.24),
    Case("luck of the seed, heavy tails", _shared),
)
"""Students that lose exactly the margin: whoever calls them non-inferior errs."""

BROKEN = Case("2.9% lose 1.7 gains, default floor", falls_of(0.05 / 1.7, 1.7), fall_rate=0.05 / 1.7)
"""The assumption does not hold: no episode of the random policy is that bad."""
