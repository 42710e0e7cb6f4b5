"""The best question to ask of some states: of one component, or of a weighted sum.

In: states, and what each would lose on either side, or what they are fitted to. Out: a `Split`, or None where no
question divides them.

Sums are fitted as linear classifiers: of the sides that states belong to, by logistic regression that counts each by
what the wrong side costs it; the threshold is then the best there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from policy_distill.training.trees.node import Split

CHUNK = 2**22
"""Numbers that are sorted and summed at once."""
MOST_FITTED = 8_192
"""States that a direction is fitted on; of more, evenly spaced ones. Thresholds are found on all."""
NEWTON_STEPS = 12
PENALTY = 1e-3
"""On the squares of a direction's coefficients, for components of unit deviation."""
KEEP = 0.98
"""Of what a sum of all components gains, the share that one of fewer must keep."""

Score = Callable[[np.ndarray], np.ndarray]
"""From sorted states `[n, F]`, as numbers of rows, to what a cut behind each of them gains, `[n, F]`."""


@dataclass(frozen=True)
class Cut:
    """The best threshold."""

    feature: int
    threshold: np.float32
    gain: float


def best_cut(values: np.ndarray, score: Score, least: int, width: int) -> Cut | None:
    """Return the best threshold on one of the columns of `values` `[n, F]`, with `least` states on either side.

    `width` is how many numbers `score` sums a state.
    """
    best: Cut | None = None
    n, n_columns = values.shape
    step = max(1, CHUNK // (n * width))
    for first in range(0, n_columns, step):
        part = values[:, first : first + step]
        order = np.argsort(part, axis=0, kind="stable")
        ordered = np.take_along_axis(part, order, axis=0)
        gains = np.asarray(score(order)[: n - 1], np.float64)
        gains[ordered[1:] <= ordered[:-1]] = -np.inf
        gains[: least - 1] = gains[n - least :] = -np.inf
        place, column = np.unravel_index(int(np.argmax(gains)), gains.shape)
        gain = float(gains[place, column])
        if np.isfinite(gain) and (best is None or gain > best.gain):
            threshold = _between(ordered[place, column], ordered[place + 1, column])
            best = Cut(first + int(column), threshold, gain)
    return best


def _between(low: np.float32, high: np.float32) -> np.float32:
    """Return a float32 that is at least `low` and less than `high`, midway where there is one."""
    middle = np.float32((np.float64(low) + np.float64(high)) / 2)
    return middle if low <= middle < high else np.float32(low)


def variance_score(values: np.ndarray, weights: np.ndarray) -> Score:
    """Return what cuts gain in explained squares of targets `[n, K]`, whose weights are `[n]`."""
    weighted = values.astype(np.float64) * weights[:, None]
    total, mass = weighted.sum(axis=0), float(weights.sum(dtype=np.float64))
    base = float(total @ total / mass)

    def score(order: np.ndarray) -> np.ndarray:
        left_mass = np.cumsum(weights[order], axis=0, dtype=np.float64)
        left, right = np.zeros(order.shape), np.zeros(order.shape)
        for column, whole in zip(weighted.T, total, strict=True):
            part = np.cumsum(column[order], axis=0)
            left += part**2
            right += (whole - part) ** 2
        found: np.ndarray = left / left_mass + right / np.maximum(mass - left_mass, 1e-12) - base
        return found

    return score


def side_score(apart: np.ndarray) -> Score:
    """Return what cuts save, where state `i` loses `apart[i]` more on the left than on the right."""
    return lambda order: -np.cumsum(apart[order], axis=0)


def axis_split(x: np.ndarray, score: Score, least: int, width: int) -> tuple[Split, float] | None:
    """Return the best question about one component of `x` `[n, D]`, and its gain."""
    cut = best_cut(x, score, least, width)
    return None if cut is None else (Split(np.array([cut.feature]), None, cut.threshold), cut.gain)


def oblique_split(x: np.ndarray, score: Score, apart: np.ndarray, least: int, width: int) -> tuple[Split, float] | None:
    """Return the best question about a sum: of the direction that tells apart who loses on the left, and who gains."""
    mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    moving = np.flatnonzero((deviation > 1e-6 * np.abs(mean)) & (deviation > 1e-30))
    if not len(moving) or not apart.any():
        return None
    every = -(-len(x) // MOST_FITTED)
    scaled = (x[::every, moving] - mean[moving]) / deviation[moving]
    direction = _direction(scaled, apart[::every])
    if not np.abs(direction).max() > 0:
        return None
    return _fewest(x, moving, direction / np.abs(direction).max(), deviation[moving], score, least, width)


def along(x: np.ndarray, features: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return the sums `[n, 1]` of a direction, in float32 and in order, as `Split.left` computes them."""
    total = x[:, features[0]] * coefficients[0]
    for feature, coefficient in zip(features[1:], coefficients[1:], strict=True):
        total = total + x[:, feature] * coefficient
    return np.asarray(total[:, None])


def _direction(x: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Return `[D]`: a logistic regression by Newton's steps, of who belongs to the right on standardised `x`."""
    from scipy.special import expit

    signs, weights = np.sign(apart), np.abs(apart) / max(np.abs(apart).sum(), 1e-12)
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1) * signs[:, None]
    penalty = np.append(np.full(x.shape[1], PENALTY), 1e-9)

    def loss(found: np.ndarray) -> float:
        return float(weights @ np.logaddexp(0.0, -(design @ found)) + 0.5 * penalty @ found**2)

    found = np.zeros(len(penalty))
    value = loss(found)
    for _ in range(NEWTON_STEPS):
        wrong = expit(-(design @ found))
        slope = design.T @ (weights * wrong) - penalty * found
        bend = design.T @ (design * (weights * wrong * (1 - wrong))[:, None])
        step = np.linalg.solve(bend + np.diag(penalty), slope)
        while (reached := loss(found + step)) > value and np.abs(step).max() > 1e-6:
            step *= 0.5
        before, value = value, min(reached, value)
        found = found + step
        if before - value < 1e-5 * before:
            break
    return found[:-1]


def _fewest(
    x: np.ndarray,
    moving: np.ndarray,
    direction: np.ndarray,
    deviation: np.ndarray,
    score: Score,
    least: int,
    width: int,
) -> tuple[Split, float] | None:
    """Return the split along a direction of as few components as keep nearly all of its gain."""
    kept = np.argsort(-np.abs(direction), kind="stable")
    best: tuple[Split, float] | None = None
    while len(kept):
        rising = np.sort(kept)
        features, coefficients = moving[rising], (direction[rising] / deviation[rising]).astype(np.float32)
        cut = best_cut(along(x, features, coefficients), score, least, width)
        if cut is None or (best is not None and cut.gain < KEEP * best[1]):
            break
        most = cut.gain if best is None else max(best[1], cut.gain)
        best = Split(features, coefficients, cut.threshold), most
        kept = kept[:-1]
    return best
