"""Whether a student keeps what its teacher gains, on fresh episodes, as the proof will ask it: falls included.

In: paired returns, some at a time. Out: confirmed or not, as soon as that is clear, or costs more than it may save. It
only chooses when to stop, and the proof that follows has its own episodes and its own error rate: so it may err more
often, and takes about half as many episodes.
"""

from __future__ import annotations

import math

import numpy as np

from policy_distill.evaluation.proof.plan import N_ENVS
from policy_distill.evaluation.proof.scale import Scale
from policy_distill.evaluation.proof.verdict import ALPHA, MARGIN, episodes_for_equal, judge

BATCH = N_ENVS
"""Episodes between two looks at what they say."""
CHANCE = 0.2
"""Error rate of its bet: how often a student at the margin would pass it at most, were its mean high enough too."""
MOST = 300
"""Episodes that a confirmation may take; where the settings have fewer for the proof, these."""
ENOUGH = 0.98
"""Share of the teacher's gain that a confirmed student keeps in the mean, beside a verdict of non-inferior."""
N_ERRORS = 2.0
"""A student is given up where its mean is below that by so many standard errors."""


class Confirmation:
    """Paired returns so far, and what they say."""

    def __init__(self, scale: Scale, n_steps: int, n_episodes: int = MOST) -> None:
        """Begin; it may take so many environment steps and episodes of the student at most."""
        self.student, self.teacher = np.zeros(0), np.zeros(0)
        self.n_more = BATCH
        """Episodes to play next."""
        self._scale, self._n_steps, self._n_left, self._n_episodes = scale, 0, n_steps, n_episodes
        self.confirmed, self.over = False, BATCH > n_episodes

    def add(self, student: np.ndarray, teacher: np.ndarray, n_steps: int) -> None:
        """Take the returns `[n]` of further episodes, which took so many environment steps, and look."""
        self.student, self.teacher = np.append(self.student, student), np.append(self.teacher, teacher)
        self._n_steps += n_steps
        n, random = len(self.student), float(self._scale.random.mean())
        verdict = judge(self.student, self.teacher, np.full(n, random), alpha=CHANCE, scale=self._scale)
        lost, error = self._lost()
        self.confirmed = verdict.outcome == "non-inferior" and lost <= 1 - ENOUGH
        hopeless = verdict.outcome == "inferior" or lost - N_ERRORS * error > 1 - ENOUGH
        needed = max(verdict_takes(self.teacher - self.student, self._scale), n + self.n_more)
        costly = needed > self._n_episodes or needed * self._n_steps / n > self._n_left
        self.over = self.confirmed or hopeless or costly

    def _lost(self) -> tuple[float, float]:
        """Return the share of the gain that was lost in the mean, and its standard error."""
        lost = (self.teacher - self.student) / self._scale.gain
        return float(lost.mean()), float(lost.std(ddof=1) / math.sqrt(len(lost)))


def verdict_takes(lost: np.ndarray, scale: Scale) -> float:
    """Return about how many episodes a verdict takes, for returns `[n]` that were lost; infinite where none comes.

    A bet on the mean gains about half its squared signal to noise an episode, and has to gain log 1/α.
    """
    signal = MARGIN * scale.gain - max(float(lost.mean()), 0.0)
    if signal <= 0:
        return math.inf
    noise = float(lost.std(ddof=1)) if len(lost) > 1 else 0.0
    return max(2.0 * math.log(1.0 / ALPHA) * (noise / signal) ** 2, episodes_for_equal(scale))
