"""The verdict: is the student as good as its teacher, up to a margin?

In: paired returns `[n]` of student, teacher and a random policy. Out: a `Verdict` at a stated error rate, after one
look at the data or several. The question is put to the mean return, since rare falls show there and not in the IQM:

    X = student - (1 - margin) * teacher - margin * random,     non-inferior: E[X] > 0,     inferior: E[X] < 0

which needs no division by the teacher's gain. Looking repeatedly is paid for by spending the error rate over the looks
(Lan and DeMets 1983, Biometrika 70(3), with their Pocock-like function); the boundaries come from the recursion of
Armitage, McPherson and Rowe 1969 (J. R. Stat. Soc. A 132(2)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr

from policy_distill.errors import RequestError

MARGIN = 0.05
"""The share of the teacher's gain over random that a non-inferior student may lose."""

ALPHA = 0.05
"""One-sided error rate of each verdict, over all looks together."""

Outcome = Literal["non-inferior", "inferior", "undecided", "undefined"]


@dataclass(frozen=True)
class Verdict:
    """Whether the student keeps the teacher's mean return up to a margin."""

    outcome: Outcome
    """`undecided` where the episodes do not tell, `undefined` where the teacher does not clearly beat random."""
    margin: float
    """Share of the teacher's gain over random that may be lost."""
    alpha: float
    """Chance of `non-inferior` for a student exactly at the margin, at most; the same for `inferior`."""
    p_value: float
    """One-sided, of "the student loses the margin or more", at the last look alone; NaN for fewer than 2 episodes."""
    n_episodes: int
    """Paired episodes that it took."""
    n_looks: int
    """Times that the data was looked at; the boundaries allow for all that were planned."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; NaN becomes null."""
        return {
            "outcome": self.outcome,
            "margin": self.margin,
            "alpha": self.alpha,
            "p_value": self.p_value if math.isfinite(self.p_value) else None,
            "n_episodes": self.n_episodes,
            "n_looks": self.n_looks,
        }


def judge(
    student: np.ndarray,
    teacher: np.ndarray,
    random: np.ndarray,
    margin: float = MARGIN,
    *,
    alpha: float = ALPHA,
    boundary: float | None = None,
    n_looks: int = 1,
) -> Verdict:
    """Judge paired returns `[n]`.

    Args:
        student: returns of the student.
        teacher: of the teacher, from the same seeds.
        random: of a random policy, from the same seeds.
        margin: share of the teacher's gain over random that may be lost, in (0, 1).
        alpha: one-sided error rate.
        boundary: the normal score to exceed at this look; that of a single look where None.
        n_looks: looks so far, this one included.

    Raises:
        RequestError: for a margin or error rate that is no share.
    """
    check_share("margin", margin)
    check_share("alpha", alpha)
    boundary = -float(ndtri(alpha)) if boundary is None else boundary
    score = normal_score(student - (1 - margin) * teacher - margin * random)
    outcome: Outcome = "undecided"
    if not normal_score(teacher - random) > -float(ndtri(alpha)):
        outcome = "undefined"
    elif score > boundary:
        outcome = "non-inferior"
    elif score < -boundary:
        outcome = "inferior"
    return Verdict(outcome, margin, alpha, float(ndtr(-score)), len(student), n_looks)


def normal_score(x: np.ndarray) -> float:
    """Return the normal score with the tail probability of the t statistic of `x` `[n]` against a mean of 0."""
    if len(x) < 2:
        return math.nan
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x))
    # Returns that are all equal but for rounding have no spread to divide by.
    if error <= 1e-12 * max(abs(mean), 1e-300):
        return math.copysign(math.inf, mean) if mean else 0.0
    # From the smaller tail: the other one rounds to 1.
    size = -float(ndtri(stdtr(len(x) - 1, -abs(mean) / error)))
    return math.copysign(size, mean)


@lru_cache(maxsize=32)
def spending_boundaries(looks: tuple[int, ...], alpha: float = ALPHA) -> tuple[float, ...]:
    """Return the normal score to exceed at each look so that the chance of exceeding any is `alpha` in all.

    Args:
        looks: episodes seen at each planned look, rising; the last is the cap.
        alpha: one-sided error rate over all looks.
    """
    # Of use to few, and slow to import.
    from scipy.optimize import brentq

    times = np.array(looks, dtype=np.float64) / looks[-1]
    spent = alpha * np.log1p((math.e - 1) * times)
    boundaries = [-float(ndtri(spent[0]))]
    grid, density = _continued(boundaries[0] * math.sqrt(times[0]), times[0], None, 0.0)
    for before, now, share in zip(times[:-1], times[1:], np.diff(spent), strict=True):
        spread = math.sqrt(now - before)
        last_grid, last_density = grid, density

        def excess(limit: float) -> float:
            crossing = last_density * ndtr((last_grid - limit) / spread)  # noqa: B023
            return float(np.trapezoid(crossing, last_grid)) - share  # noqa: B023

        limit = float(brentq(excess, -8 * math.sqrt(now), 9 * math.sqrt(now)))
        boundaries.append(limit / math.sqrt(now))
        grid, density = _continued(limit, now, (last_grid, last_density), spread)
    return tuple(boundaries)


def _continued(
    limit: float, time: float, last: tuple[np.ndarray, np.ndarray] | None, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid and, on it, the density of a Brownian path at `time` that stayed below its limits so far."""
    grid = np.linspace(-8 * math.sqrt(time), limit, 801)
    if last is None:
        return grid, _normal_density(grid, math.sqrt(time))
    steps = _normal_density(grid[:, None] - last[0][None, :], spread)
    return grid, np.trapezoid(steps * last[1][None, :], last[0], axis=1)


def _normal_density(x: np.ndarray, scale: float) -> np.ndarray:
    return np.exp(-0.5 * (x / scale) ** 2) / (scale * math.sqrt(2 * math.pi))


def check_share(name: str, value: float) -> None:
    """Refuse a number that is not within (0, 1).

    Raises:
        RequestError: naming it.
    """
    if not 0 < value < 1:
        raise RequestError(f"expected {name} between 0 and 1, found {value}; 0.05 is usual")
