"""Statistics of episode returns: interquartile means, bootstrap intervals, retention, and what rare falls cost.

In: arrays `[n]` of episode returns, paired by seed. Out: point estimates with 95% intervals. The interquartile mean and
the percentile bootstrap follow Agarwal et al. 2021 (arXiv 2108.13264).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from policy_distill.verdict import MARGIN, Verdict, judge

N_RESAMPLES = 5_000
"""Bootstrap resamples; the end points then move by about 1% of the interval's width from seed to seed."""

MIN_GAIN = 1e-8
"""A teacher's gain over random, as a share of the returns' size, below which a ratio of gains means nothing."""

WORST = 0.05
"""The share of episodes that `worst` looks at."""


@dataclass(frozen=True)
class Retention:
    """The share of the teacher's gain over a random policy that the student keeps, on paired episode seeds."""

    iqm: float
    """(student - random) / (teacher - random) of interquartile means; NaN where teacher and random score the same."""
    ci95: tuple[float, float]
    """Percentile bootstrap over paired episodes."""
    mean: float
    """The same ratio of plain means: falls in rare episodes show here, not in the IQM."""
    mean_ci95: tuple[float, float]
    """Interval of `mean`."""
    n_episodes: int
    """Paired episodes."""
    verdict: Verdict
    """Whether the student is as good as the teacher up to a margin, by the mean return."""

    def __str__(self) -> str:
        """Return what is read first, rounded."""
        bounds = ", ".join(f"{bound:.3f}" for bound in self.ci95)
        return (
            f"Retention(iqm={self.iqm:.3f}, ci95=({bounds}), mean={self.mean:.3f}, n_episodes={self.n_episodes}, "
            f"verdict={self.verdict.outcome})"
        )

    def to_json(self) -> dict[str, object]:
        """Return JSON values; NaN becomes null."""
        return {
            "iqm": json_number(self.iqm),
            "ci95": [json_number(x) for x in self.ci95],
            "mean": json_number(self.mean),
            "mean_ci95": [json_number(x) for x in self.mean_ci95],
            "n_episodes": self.n_episodes,
            "verdict": self.verdict.to_json(),
        }


def json_number(x: float) -> float | None:
    """Return `x`, or None where JSON has no such number."""
    return float(x) if math.isfinite(x) else None


def iqm(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the interquartile mean: the mean of the middle half, as SciPy's `trim_mean(x, 0.25)`.

    SciPy's takes as long to import as a small distillation's proof.
    """
    n = x.shape[axis]
    cut = n // 4
    return np.partition(x, (cut, n - cut - 1), axis=axis).take(range(cut, n - cut), axis=axis).mean(axis=axis)


def worst(x: np.ndarray) -> float:
    """Return the mean of the lowest 5% of `x` `[n]`, at least one of them: rare falls show here."""
    return float(np.sort(x)[: math.ceil(WORST * len(x))].mean())


def interval(x: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the IQM of `x` `[n]`."""
    return _bootstrap((x,), iqm, seed)


def retention(
    student: np.ndarray, teacher: np.ndarray, random: np.ndarray, seed: int = 0, margin: float = MARGIN
) -> Retention:
    """Compare returns `[n]` of three policies whose i-th episodes started from the same seed.

    The bootstrap draws whole episodes, the three returns together, so that what a seed does to all of them cancels.
    """
    if not student.shape == teacher.shape == random.shape or student.ndim != 1:
        raise ValueError(f"returns must be paired, [n] each: {student.shape}, {teacher.shape}, {random.shape}")
    iqm_kept, ci95 = _kept(iqm, student, teacher, random, seed)
    mean_kept, mean_ci95 = _kept(np.mean, student, teacher, random, seed)
    verdict = judge(student, teacher, random, margin)
    return Retention(iqm_kept, ci95, mean_kept, mean_ci95, len(student), verdict)


def _kept(  # type: ignore[no-untyped-def]
    centre,  # noqa: ANN001
    student: np.ndarray,
    teacher: np.ndarray,
    random: np.ndarray,
    seed: int,
) -> tuple[float, tuple[float, float]]:
    """Return the share of the gain that is kept, with its interval; NaN where teacher and random score the same."""
    # Where chance alone tells teacher and random apart, the interval is as wide as that says and the verdict undefined.
    size = max(np.abs(teacher).max(), np.abs(random).max(), 1e-12)
    if abs(float(centre(teacher)) - float(centre(random))) <= MIN_GAIN * size:
        return math.nan, (math.nan, math.nan)
    samples = (student, teacher, random)
    return float(_gain_kept(centre)(*samples)), _bootstrap(samples, _gain_kept(centre), seed)


def _gain_kept(centre):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def ratio(student: np.ndarray, teacher: np.ndarray, random: np.ndarray) -> np.ndarray:
        base = centre(random, axis=-1)
        # A resample in which the teacher gains nothing has no ratio; NaN there is left out of the percentiles.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((centre(student, axis=-1) - base) / (centre(teacher, axis=-1) - base))

    return ratio


def _bootstrap(samples, statistic, seed: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if len(samples[0]) < 2:
        return (math.nan, math.nan)
    rng, n = np.random.default_rng(seed), len(samples[0])
    parts = []
    # In parts, so that long comparisons do not need gigabytes.
    for _ in range(N_RESAMPLES // 1000):
        drawn = rng.integers(n, size=(1000, n))
        parts.append(statistic(*(sample[drawn] for sample in samples)))
    distribution = np.concatenate(parts)
    finite = distribution[np.isfinite(distribution)]
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (math.nan, math.nan)
    return (float(low), float(high))
