"""Observation statistics of a student's own, where its teacher has none.

In: the raw observations of a first rollout. Out: a `Normalizer`. NumPy alone.
"""

from __future__ import annotations

import numpy as np

from policy_distill.student.features import Normalizer

SPAN_FLOOR = 0.05
"""A measured deviation is at least this share of a bounded observation's span: what hardly moved in the first rollout
(a contact flag, say) must not become huge when it moves later."""


def measure_normalizer(obs: np.ndarray, low: np.ndarray, high: np.ndarray, channels: int | None = None) -> Normalizer:
    """Return statistics of raw observations `[B, ...]` from a space with bounds `low` and `high`.

    What never moved keeps its scale. Of an image to convolve, `channels` is the dimension of its channels, each of
    which has one mean and one deviation: what a pixel means must not depend on its place.
    """
    axes = 0 if channels is None else tuple(axis for axis in range(obs.ndim) if axis != channels + 1)
    moments = (measure(axis=axes, dtype=np.float64, keepdims=channels is not None) for measure in (obs.mean, obs.std))
    mean, deviation = moments if channels is None else (np.broadcast_to(one[0], obs.shape[1:]) for one in moments)
    with np.errstate(over="ignore", invalid="ignore"):
        span = high.astype(np.float64) - low.astype(np.float64)
    # Bounds near the largest float are a way of saying "none".
    floor = np.where(np.isfinite(span) & (span < 1e6), SPAN_FLOOR * span, 0.0)
    deviation = np.maximum(deviation, floor)
    return Normalizer(mean, np.where(deviation > 1e-6, deviation, 1.0) ** 2, clip=10.0, epsilon=0.0)
