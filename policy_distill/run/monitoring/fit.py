"""Which numbers a monitor has: what episodes span, and from where on a step is novel.

In: episodes of a student. Out: a `Monitor`. The steps of an episode resemble each other, so that a thousand of them are
no thousand tries: the threshold is found by conformal risk control (Angelopoulos et al. 2024, arXiv 2208.02814) over
whole held-out episodes, whose loss is the share of their steps that are called novel. In the mean over fresh episodes
that share is then at most what was asked for, however long they are and whatever the steps within them depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.run.monitoring.play import Steps
from policy_distill.student.onboard.monitor import Monitor

FALSE_ALARMS = 0.01
"""Share of an episode's steps that may be called novel where nothing is."""
FITTED = 3
"""One episode of so many says what is usual; the others say from where on it is not."""
BUDGET = 0.22
"""Numbers of a monitor, as a share of its student's."""
LEAST_ROWS = 2
"""Directions of either kind, however small the student is."""
SMALLEST = 1e-3
"""Least deviation that a direction is scaled by, of numbers whose own deviation is 1: floats have seven digits."""
OF_ACTIONS = 1e-3
"""A direction with no more of the observation in it says only how actions are written."""


def least_episodes(false_alarms: float = FALSE_ALARMS) -> int:
    """Return how many episodes a monitor takes at least."""
    held_out = int(np.ceil(1.0 / false_alarms)) - 1
    return int(np.ceil(held_out * FITTED / (FITTED - 1))) + 1


def fit_monitor(episodes: Sequence[Steps], n_params: int, false_alarms: float = FALSE_ALARMS) -> Monitor:
    """Return the monitor of a student of `n_params` parameters that played these episodes.

    Raises:
        RequestError: for too few of them.
    """
    fitted, held_out = episodes[::FITTED], [one for k, one in enumerate(episodes) if k % FITTED]
    usual = _usual(fitted, n_params)
    scores = [usual.along(one.obs, one.actions) for one in held_out]
    threshold = _threshold(scores, false_alarms)
    scale = np.float32(1.0 / np.sqrt(threshold))
    reached = float(np.mean([np.mean(one > threshold) for one in scores]))
    scaled = replace(usual, place=usual.place * scale, step=usual.step * scale)
    return replace(scaled, false_alarms=false_alarms, n_episodes=len(held_out), reached=reached)


def _usual(episodes: Sequence[Steps], n_params: int) -> Monitor:
    """Return a monitor whose novelties are 1 at their 99th percentiles on the episodes themselves."""
    obs = np.concatenate([one.obs for one in episodes])
    actions = np.concatenate([one.actions for one in episodes])
    center, action_center = obs.mean(axis=0), actions.mean(axis=0, dtype=np.float64).astype(np.float32)
    low, high = obs.min(axis=0), obs.max(axis=0)
    # A constant is one up to the digits that a float has of it.
    deviation = np.maximum(obs.std(axis=0), 1e-6 * np.maximum(np.abs(center), 1.0))
    action_deviation = np.maximum(actions.std(axis=0, dtype=np.float64), 1e-6)
    x = obs - center
    steps = np.concatenate([_steps(one.obs - center, one.actions - action_center) for one in episodes])
    place = _directions(x / deviation, len(center)) / deviation
    scales = np.concatenate([deviation, deviation, action_deviation])
    step = _directions(steps / scales, len(center)) / scales
    n_place, n_step = _affordable(len(center), len(action_center), len(place), len(step), n_params)
    place, step = (_scaled(rows[:n], values) for rows, n, values in ((place, n_place, x), (step, n_step, steps)))
    return Monitor(center, low, high, action_center, place, step, FALSE_ALARMS, 1, 0.0)


def _steps(x: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return np.concatenate([x[1:], x[:-1], actions[:-1]], axis=1)


def _directions(x: np.ndarray, n_observed: int) -> np.ndarray:
    """Return directions of numbers `[B, n]` of deviation 1, each over its deviation, those first that vary least."""
    variances, vectors = np.linalg.eigh(x.T @ x / max(len(x), 1))
    kept = np.linalg.norm(vectors[:n_observed], axis=0) > OF_ACTIONS
    rows = (vectors / np.maximum(np.sqrt(np.maximum(variances, 0.0)), SMALLEST)).T
    found: np.ndarray = rows[kept]
    return found


def _affordable(n_observed: int, n_taken: int, n_place: int, n_step: int, n_params: int) -> tuple[int, int]:
    """Return how many directions of an observation and of a step a student of `n_params` can afford."""
    left = BUDGET * n_params - 3 * n_observed - n_taken
    place = int(np.clip(left / 2 // n_observed, LEAST_ROWS, n_place))
    step = int(np.clip((left - place * n_observed) // (2 * n_observed + n_taken), LEAST_ROWS, n_step))
    return min(place, n_place), min(step, n_step)


def _scaled(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    sums = np.square(values @ rows.T).sum(axis=1)
    usual = float(np.quantile(sums, 1.0 - FALSE_ALARMS)) if len(sums) else 1.0
    return np.asarray(rows / np.sqrt(max(usual, 1e-12)), np.float32)


def _threshold(scores: Sequence[np.ndarray], false_alarms: float) -> float:
    """Return the least number that so small a share of the steps of a fresh episode is above, in the mean."""
    n = len(scores)
    allowed = false_alarms * (n + 1) - 1.0
    if allowed < 0.0:
        raise RequestError(
            f"expected at least {least_episodes(false_alarms)} episodes for {false_alarms:.0%} of false alarms, found "
            f"{n * FITTED // (FITTED - 1)}; raise --episodes"
        )
    flat = np.concatenate(scores).astype(np.float64)
    shares = np.concatenate([np.full(len(one), 1.0 / len(one)) for one in scores])
    order = np.argsort(-flat, kind="stable")
    n_above = int(np.searchsorted(np.cumsum(shares[order]), allowed + 1e-12, side="right"))
    return max(float(flat[order[min(n_above, len(flat) - 1)]]), 1e-12)
