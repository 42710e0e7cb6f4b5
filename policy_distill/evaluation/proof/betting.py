"""Bets that a mean is positive: capital that grows only where it is, whenever one looks.

In: numbers that are at least -1. Out: the logarithm of a gambler's capital. Who starts with 1 and bets the share `s` on
each number multiplies the capital by `1 + s x`, which never falls below 0 for x >= -1. Where the mean is 0 or less, the
expected capital is 1 at most however long one plays, so that the chance of ever reaching 20 is 5% at most (Ville 1939).
That is the test of Waudby-Smith and Ramdas 2024 (J. R. Stat. Soc. B 86(1), arXiv 2010.09686), without any assumption on
the distribution but the bound. We spread the capital over several shares beforehand, so that the order of the numbers
does not matter: the capital is a mean over shares of products.
"""

from __future__ import annotations

import math

import numpy as np

SHARES = np.geomspace(0.02, 0.98, 8)
"""Shares of the capital that are bet. Small ones win where numbers scatter, large ones where they hardly do."""

BOLD = 0.75
"""Of the capital, what bets the largest share: a student that equals its teacher is then certified about as soon as by
bets that adapt (`experiments.calibration`)."""

WEIGHTS = np.array([*np.full(len(SHARES) - 1, (1 - BOLD) / (len(SHARES) - 1)), BOLD])


def log_capital(x: np.ndarray) -> float:
    """Return the log of the capital after bets on all of `x` `[n]`, each at least -1; 0 before the first."""
    # What is below -1 all the same may cost more than everything, and then nothing comes back.
    factors = np.maximum(1.0 + SHARES[:, None] * x, 0.0)
    with np.errstate(divide="ignore"):
        sums = np.log(factors).sum(axis=1) + np.log(WEIGHTS)
    top = float(sums.max())
    return top if math.isinf(top) else top + math.log(float(np.exp(sums - top).sum()))


def log_capital_path(x: np.ndarray) -> np.ndarray:
    """Return the log of the capital after each of `x` `[n]`: what `log_capital` gives for every beginning of them."""
    with np.errstate(divide="ignore"):
        sums = np.log(np.maximum(1.0 + SHARES[:, None] * x, 0.0)).cumsum(axis=1) + np.log(WEIGHTS)[:, None]
        return np.asarray(np.logaddexp.reduce(sums, axis=0))


def episodes_needed(x: float, alpha: float) -> int:
    """Return after how many numbers that all equal `x` > 0 the capital reaches `1 / alpha`."""
    low, high = 1, 1
    while log_capital(np.full(high, x)) < -math.log(alpha):
        low, high = high, high * 2
        if high > MAX_NEEDED:
            return MAX_NEEDED
    while low < high:
        middle = (low + high) // 2
        reached = log_capital(np.full(middle, x)) >= -math.log(alpha)
        low, high = (low, middle) if reached else (middle + 1, high)
    return high


def rejected_up_to(base: np.ndarray, slope: np.ndarray, stake: float, alpha: float) -> float:
    """Return the largest `r` such that "the mean of `base - r slope` is 0 or less" is rejected for all below it.

    The lower end of a confidence sequence for the ratio of means: it holds at every stop.

    Args:
        base: numbers `[n]`.
        slope: numbers `[n]` of positive mean.
        stake: `base - r slope` is assumed to be at least `-stake`.
        alpha: one-sided error rate.

    Returns:
        `r`; minus infinity where nothing is rejected.
    """

    def rejected(ratio: float) -> bool:
        x = (base - ratio * slope) / stake
        return bool(x.min() >= -1 - ROUNDING) and log_capital(x) >= -math.log(alpha)

    # At the ratio of the means the capital is 1 at most, so that it is never rejected.
    high = float(base.mean() / slope.mean())
    width = 2.0**-6
    while not rejected(high - width):
        width *= 2
        if width > WIDEST:
            return -math.inf
    low = high - width
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low


ROUNDING = 1e-9
"""How far below -1 a number may lie by rounding."""

WIDEST = 64.0
"""An interval wider than this says nothing."""

MAX_NEEDED = 1_000_000
