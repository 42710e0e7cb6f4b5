"""The scale of a proof: what the teacher gains over random, what an episode may lose at most, and what is a fall.

In: returns of teacher and random policy on episodes of their own. Out: a `Scale`, fixed before the proof's first
episode, so that what the student does cannot move it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.records import ScaleRecord

WORSE = 1.1
"""By default no episode is assumed to lose more than so many times what the worst random episode loses."""

FALL = 0.5
"""An episode that loses more than this share of the teacher's gain is a fall."""

GAIN_ALPHA = 0.01
"""Chance of seeing a gain where there is none, on each of two sets of episodes: a share of nothing misleads."""

RESOLUTION = 1e-13
"""A teacher's gain over random, as a share of the returns' size, below which it is rounding."""

N_EPISODES = 20
"""Episodes of teacher and random policy that scale a proof."""


@dataclass(frozen=True)
class Scale:
    """What returns of an environment are measured by."""

    teacher: np.ndarray
    """Returns of the teacher `[n]`."""
    random: np.ndarray
    """Returns of the random policy `[n]`."""
    worst_loss: float | None = None
    """Declared by the user, in gains; None for `WORSE` times what the worst random episode loses."""

    @property
    def gain(self) -> float:
        """The teacher's mean return less random's."""
        return float(self.teacher.mean() - self.random.mean())

    @property
    def stake(self) -> float:
        """What one episode may lose at most against the teacher's on the same seed, in units of the return."""
        if self.worst_loss is not None:
            return self.worst_loss * self.gain
        return WORSE * float(self.teacher.mean() - self.random.min())

    @property
    def floor(self) -> float:
        """The same in gains; NaN where the teacher gains nothing."""
        return self.stake / self.gain if self.gain > 0 else math.nan

    @property
    def fall_line(self) -> float:
        """The return below which an episode is a fall: it lost more than half of the gain."""
        return float(self.teacher.mean()) - FALL * self.gain

    def record(self) -> ScaleRecord:
        """Return what files say of it."""
        return ScaleRecord(
            teacher=float(self.teacher.mean()),
            random=float(self.random.mean()),
            worst_random=float(self.random.min()),
            gain=self.gain,
            fall_line=self.fall_line,
            n_episodes=len(self.teacher),
            declared=self.worst_loss is not None,
        )


def check_worst_loss(value: float | None, margin: float = 0.0) -> None:
    """Refuse a declared floor that is no positive number, or that assumes what is to be proven.

    Raises:
        RequestError: naming it.
    """
    if value is not None and not 0 < value < math.inf:
        raise RequestError(
            f"expected --worst-loss above 0, found {value}; it is what one episode may lose at most, in gains of the "
            "teacher over random: 2 for an episode that may end one gain below random"
        )
    if value is not None and value <= margin:
        raise RequestError(
            f"expected --worst-loss above the margin of {margin:g}, found {value:g}: if no episode can lose more than "
            "the margin, nothing is left to prove"
        )


def clearly_gains(teacher: np.ndarray, random: np.ndarray) -> bool:
    """Say whether the teacher's mean return is above random's by more than chance, for pairs `[n]`.

    A t test: it decides whether there is a gain to keep a share of, and not whether a share is kept. A gain that is
    rounding is none, however even.
    """
    size = max(float(np.abs(teacher).max()), float(np.abs(random).max()), 1e-12)
    gain = float(teacher.mean() - random.mean())
    return gain > RESOLUTION * size and normal_score(teacher - random) > least_gain()


def least_gain() -> float:
    """Return the normal score of the teacher's gain up to which chance alone tells it from random."""
    from scipy.special import ndtri

    return -float(ndtri(GAIN_ALPHA))


def normal_score(x: np.ndarray) -> float:
    """Return the normal score with the tail probability of the t statistic of `x` `[n]` against a mean of 0."""
    from scipy.special import ndtri, stdtr

    if len(x) < 2:
        return math.nan
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x))
    # Returns that are all equal but for rounding have no spread to divide by.
    if error <= 1e-12 * max(abs(mean), 1e-300):
        return math.copysign(math.inf, mean) if mean else 0.0
    # From the smaller tail: the other one rounds to 1.
    size = -float(ndtri(stdtr(len(x) - 1, -abs(mean) / error)))
    return math.copysign(size, mean)
