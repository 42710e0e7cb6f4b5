"""Statistics of episode returns: interquartile means, bootstrap intervals and retention.

In: arrays `[n]` of episode returns, paired by seed. Out: point estimates with 95% intervals.
The interquartile mean and percentile bootstrap follow Agarwal et al. 2021 (arXiv 2108.13264).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

N_RESAMPLES = 5_000
"""Bootstrap resamples; the end points then move by about 1% of the interval's width from seed to seed."""

MIN_GAIN = 1e-8
"""A teacher's gain over random, as a share of the returns' size, below which a ratio of gains means nothing."""


@dataclass(frozen=True)
class Retention:
    """The share of the teacher's gain over a random policy that the student keeps, on paired episode seeds."""

    iqm: float
    """(student - random) / (teacher - random) of interquartile means; NaN where the teacher gains nothing."""
    ci95: tuple[float, float]
    """Percentile bootstrap over paired episodes."""
    mean: float
    """The same ratio of plain means: falls in rare episodes show here, not in the IQM."""
    mean_ci95: tuple[float, float]
    """Interval of `mean`."""
    n_episodes: int
    """Paired episodes."""

    def to_json(self) -> dict[str, object]:
        """Return JSON values; NaN becomes null."""
        return {
            "iqm": json_number(self.iqm),
            "ci95": [json_number(x) for x in self.ci95],
            "mean": json_number(self.mean),
            "mean_ci95": [json_number(x) for x in self.mean_ci95],
            "n_episodes": self.n_episodes,
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


def interval(x: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the IQM of `x` `[n]`."""
    return _bootstrap((x,), iqm, seed)


def retention(student: np.ndarray, teacher: np.ndarray, random: np.ndarray, seed: int = 0) -> Retention:
    """Compare returns `[n]` of three policies whose i-th episodes started from the same seed.

    The bootstrap draws whole episodes, the three returns together, so that what a seed does to all of them cancels.
    """
    if not student.shape == teacher.shape == random.shape or student.ndim != 1:
        raise ValueError(f"returns must be paired, [n] each: {student.shape}, {teacher.shape}, {random.shape}")
    samples = (student, teacher, random)
    gain_size = max(np.abs(teacher).max(), np.abs(random).max(), 1e-12)
    if abs(float(iqm(teacher)) - float(iqm(random))) <= MIN_GAIN * gain_size:
        undefined = (math.nan, math.nan)
        return Retention(math.nan, undefined, math.nan, undefined, len(student))
    return Retention(
        iqm=float(_gain_kept(iqm)(*samples)),
        ci95=_bootstrap(samples, _gain_kept(iqm), seed),
        mean=float(_gain_kept(np.mean)(*samples)),
        mean_ci95=_bootstrap(samples, _gain_kept(np.mean), seed),
        n_episodes=len(student),
    )


def _gain_kept(centre):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def ratio(student: np.ndarray, teacher: np.ndarray, random: np.ndarray, axis: int = -1) -> np.ndarray:
        base = centre(random, axis=axis)
        # A resample in which the teacher gains nothing has no ratio; NaN there is left out of the percentiles.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((centre(student, axis=axis) - base) / (centre(teacher, axis=axis) - base))

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
