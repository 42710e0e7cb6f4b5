"""Statistics of episode returns: interquartile means, bootstrap intervals, and what rare falls cost.

In: arrays `[n]` of episode returns. Out: point estimates with 95% intervals. The interquartile mean and the percentile
bootstrap follow Agarwal et al. 2021 (arXiv 2108.13264).
"""

from __future__ import annotations

import math

import numpy as np

LEAST = 8
"""Numbers from which on the bootstrap has an interval: of 3 its interval covers in three of four cases."""

N_RESAMPLES = 5_000
"""Bootstrap resamples; the end points then move by about 1% of the interval's width from seed to seed."""

MAX_WITHOUT_GAIN = 0.005
"""Share of resamples in which the teacher may gain nothing; with more of them a ratio has no interval."""

WORST = 0.05
"""The share of episodes that `worst` looks at."""


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
    """Return the 95% bootstrap interval of the IQM of `x` `[n]`, widened for small n.

    The percentile interval of few numbers is too narrow; its percentiles are moved out as far as Student's t with n - 1
    degrees of freedom lies beyond the normal (Hesterberg 2015, The American Statistician 69(4)). NaN for fewer than
    `LEAST`.
    """
    return bootstrap((x,), iqm, seed)


def bootstrap(samples, statistic, seed: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Return the widened 95% percentile interval of `statistic` over resampled episodes; NaN where it has none."""
    if len(samples[0]) < LEAST:
        return (math.nan, math.nan)
    rng, n = np.random.default_rng(seed), len(samples[0])
    parts = []
    # In parts, so that long comparisons do not need gigabytes.
    for _ in range(N_RESAMPLES // 1000):
        drawn = rng.integers(n, size=(1000, n))
        parts.append(statistic(*(sample[drawn] for sample in samples)))
    found = np.concatenate(parts)
    undefined = ~np.isfinite(found)
    if undefined.mean() > MAX_WITHOUT_GAIN:
        return (math.nan, math.nan)
    low, high = np.percentile(found[~undefined], percentiles(n))
    return (float(low), float(high))


def percentiles(n: int) -> tuple[float, float]:
    """Return the percentiles of the bootstrap distribution between which a 95% interval of `n` numbers lies."""
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(stdtrit(n - 1, 0.025) * math.sqrt(n / (n - 1))))
    return 100 * tail, 100 * (1 - tail)
