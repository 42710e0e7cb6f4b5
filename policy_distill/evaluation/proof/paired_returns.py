"""The returns that a proof rests on: of student, teacher and a random policy on the same episodes.

In: arrays `[n]`. Out: a `PairedReturns`, with what the student keeps in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from policy_distill.evaluation.proof.scale import RESOLUTION, normal_score
from policy_distill.evaluation.statistics import iqm


@dataclass(frozen=True)
class PairedReturns:
    """Returns of whole episodes, the i-th of each policy from the same seed."""

    student: np.ndarray
    """`[n]`"""
    teacher: np.ndarray
    """`[n]`"""
    random: np.ndarray
    """`[n]`, of a random policy."""
    first_seed: int
    """Episode i started from reset(seed=first_seed + i)."""

    def __post_init__(self) -> None:
        """Check that there are as many returns of each, and one or more; a ValueError says what was found."""
        shapes = {self.student.shape, self.teacher.shape, self.random.shape}
        if len(shapes) != 1 or self.student.ndim != 1 or not len(self.student):
            raise ValueError(f"expected paired returns, [n] each with n of at least 1, found {sorted(shapes)}")
        if not all(np.isfinite(x).all() for x in (self.student, self.teacher, self.random)):
            raise ValueError("expected finite returns, found some that are not")

    def first(self, n: int) -> PairedReturns:
        """Return the first `n` of these episodes."""
        return PairedReturns(self.student[:n], self.teacher[:n], self.random[:n], self.first_seed)

    @property
    def gain(self) -> float:
        """The teacher's mean gain over random."""
        return float(self.teacher.mean() - self.random.mean())

    @property
    def kept(self) -> float:
        """The share of the gain that the student keeps, by the means."""
        return float(self.student.mean() - self.random.mean()) / self.gain

    @property
    def iqm_kept(self) -> float:
        """The same by interquartile means; NaN where the teacher's is not above random's: the sign would turn."""
        student, teacher, random = (float(iqm(x)) for x in (self.student, self.teacher, self.random))
        return (student - random) / (teacher - random) if teacher > random else math.nan

    @property
    def gain_score(self) -> float:
        """The normal score of the teacher's gain: how clearly it is above 0; NaN for a single episode."""
        size = max(float(np.abs(self.teacher).max()), float(np.abs(self.random).max()))
        # A gain that is rounding has no spread to be measured by.
        return normal_score(self.teacher - self.random) if abs(self.gain) > RESOLUTION * size else 0.0

    def losses(self, kept: float) -> np.ndarray:
        """Return `[n]`: by how much each episode differs from one that keeps the share `kept`, in gains."""
        return ((self.student - self.random) - kept * (self.teacher - self.random)) / self.gain
