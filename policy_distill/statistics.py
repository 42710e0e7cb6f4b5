"""Statistics of episode returns: interquartile means, bootstrap intervals, and what rare falls cost.

In: arrays `[n]` of episode returns, or scores of several training seeds. Out: point estimates with 95% intervals. The
interquartile mean, the percentile bootstrap and its stratified form over training seeds follow Agarwal et al. 2021
(arXiv 2108.13264).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

N_RESAMPLES = 5_000
"""Bootstrap resamples; the end points then move by about 1% of the interval's width from seed to seed."""

MAX_WITHOUT_GAIN = 0.005
"""Share of resamples in which the teacher may gain nothing; with more of them a ratio has no interval."""

WORST = 0.05
"""The share of episodes that `worst` looks at."""


@dataclass(frozen=True)
class Aggregate:
    """Scores of several training seeds, on one environment or more, with stratified bootstrap intervals."""

    iqm: float
    """Interquartile mean over all runs of all environments."""
    ci95: tuple[float, float]
    """Its interval: training seeds are drawn anew within each environment. NaN where none has two of them."""
    mean: float
    """Mean over all runs."""
    mean_ci95: tuple[float, float]
    """Its interval."""
    median: float
    """Median over environments of the mean over seeds."""
    median_ci95: tuple[float, float]
    """Its interval."""
    n_runs: int
    """Runs in all."""
    n_envs: int
    """Environments."""

    def to_json(self) -> dict[str, object]:
        """Return JSON values; NaN becomes null."""
        values = {name: json_number(getattr(self, name)) for name in ("iqm", "mean", "median")}
        bounds = {name: [json_number(x) for x in getattr(self, name)] for name in ("ci95", "mean_ci95", "median_ci95")}
        return {**values, **bounds, "n_runs": self.n_runs, "n_envs": self.n_envs}


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
    degrees of freedom lies beyond the normal (Hesterberg 2015, The American Statistician 69(4)).
    """
    return bootstrap((x,), iqm, seed)


def aggregate(scores: Sequence[np.ndarray], seed: int = 0) -> Aggregate:
    """Aggregate scores such as retentions: one array `[n_runs]` of training seeds for each environment.

    Raises:
        ValueError: without a score, or with one that is not finite.
    """
    if not scores or not all(len(runs) and np.isfinite(runs).all() for runs in scores):
        raise ValueError("expected at least one finite score for each environment")
    rng = np.random.default_rng(seed)
    # One seed of each says nothing of their spread: an interval of no width would be a false one.
    spread_is_known = any(len(runs) > 1 for runs in scores)
    # One draw of seeds for all three statistics; each environment draws among its own.
    drawn = [runs[rng.integers(len(runs), size=(N_RESAMPLES, len(runs)))] for runs in scores]

    def found(statistic: Callable[[list[np.ndarray]], np.ndarray]) -> tuple[float, tuple[float, float]]:
        low, high = np.percentile(statistic(drawn), [2.5, 97.5]) if spread_is_known else (math.nan, math.nan)
        return float(statistic(list(scores))), (float(low), float(high))

    return Aggregate(
        *found(lambda parts: iqm(np.concatenate(parts, axis=-1))),
        *found(lambda parts: np.concatenate(parts, axis=-1).mean(axis=-1)),
        *found(lambda parts: np.median(np.stack([part.mean(axis=-1) for part in parts]), axis=0)),
        n_runs=sum(map(len, scores)),
        n_envs=len(scores),
    )


def bootstrap(samples, statistic, seed: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Return the widened 95% percentile interval of `statistic` over resampled episodes; NaN where it has none."""
    if len(samples[0]) < 2:
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
    low, high = np.percentile(found[~undefined], _percentiles(n))
    return (float(low), float(high))


def _percentiles(n: int) -> tuple[float, float]:
    """Return the percentiles of the bootstrap distribution between which a 95% interval of `n` numbers lies."""
    tail = float(ndtr(stdtrit(n - 1, 0.025) * math.sqrt(n / (n - 1))))
    return 100 * tail, 100 * (1 - tail)
