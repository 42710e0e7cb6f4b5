"""The teacher as it is: by sampling, beside the mode that everything else is measured by, on the same episodes.

In: an evaluation of each, and what one episode may lose at most. Out: their difference, with a lower bound that holds
at 95%: the bets of `proof/betting.py`, which rare and large falls do not deceive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from policy_distill.evaluation.episodes import Evaluation
from policy_distill.evaluation.policy_records import DifferenceRecord, SampledRecord
from policy_distill.evaluation.proof.betting import log_capital
from policy_distill.evaluation.statistics import json_number

ALPHA = 0.05
"""Chance that the bound lies above the true difference, at most."""

N_ERRORS = 2.0
"""Standard errors above the mean beyond which no difference is expected."""


@dataclass(frozen=True)
class ModeAndSample:
    """What a teacher returns by sampling, and how much more that is than by its mode."""

    sampled: Evaluation
    """By sampling, on the first of the comparison's episodes."""
    n_episodes: int
    """Episodes that both acted in."""
    difference: float
    """Mean return by sampling less that by the mode, on the same episodes."""
    error: float
    """Its standard error; infinite for a single episode."""
    low: float
    """The true difference is at least this, with 95%; minus infinity where that cannot be said."""

    @property
    def is_better(self) -> bool:
        """True where sampling is better than the mode by more than its error."""
        return self.low > 0

    def is_clear(self, matters: float) -> bool:
        """True where more episodes change little: sampling is better, or not by as much as `matters`, in returns."""
        return self.is_better or self.difference + N_ERRORS * self.error < matters

    def record(self) -> SampledRecord:
        """Return what files say of it: the returns by sampling, the steps that they took, and the difference."""
        return SampledRecord(
            returns=self.sampled.record(),
            n_episodes=self.sampled.n_episodes,
            seed=self.sampled.seed,
            env_steps=int(self.sampled.lengths.sum()),
            difference=DifferenceRecord(self.difference, json_number(self.low), self.is_better, self.n_episodes),
        )


def mode_and_sample(mode: Evaluation, sampled: Evaluation, stake: float) -> ModeAndSample:
    """Set a teacher's returns by sampling beside those by its mode.

    Args:
        mode: by the mode.
        sampled: by sampling, from the same seed on.
        stake: what one episode by sampling may lose at most against the mode on the same seed, in units of the return.
    """
    n = min(sampled.n_episodes, mode.n_episodes)
    difference = sampled.returns[:n] - mode.returns[:n]
    error = float(difference.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return ModeAndSample(sampled, n, float(difference.mean()), error, mean_at_least(difference, stake))


def mean_at_least(x: np.ndarray, stake: float, alpha: float = ALPHA) -> float:
    """Return a lower bound on the mean of numbers `[n]` that are at least `-stake`, at one-sided error rate `alpha`.

    Minus infinity where that floor is no number above 0, where a number lies below it, or where so few say nothing.
    """
    if not 0 < stake < math.inf or len(x) == 0 or float(x.min()) < -stake:
        return -math.inf

    def rejected(mean: float) -> bool:
        # Less the supposed mean, the numbers are at least this, and their own mean is 0.
        return log_capital((x - mean) / (stake + mean)) >= -math.log(alpha)

    low, high = -stake * (1 - 1e-9), float(x.mean())
    if not rejected(low):
        return -math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low
