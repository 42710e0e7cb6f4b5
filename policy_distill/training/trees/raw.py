"""Raw numbers of an observation, from features as a buffer has them: trees read what the environment shows.

In: features, normalised where they were collected for networks too. Out: what they were made of, so that thresholds are
in the observation's own units. What was clipped stays where the clip put it.
"""

from __future__ import annotations

import numpy as np

from policy_distill.student.features import Featurizer


class RawNumbers:
    """Undoes the normalisation of a featurizer."""

    def __init__(self, featurizer: Featurizer) -> None:
        sizes = [part.size for part in featurizer.parts]
        mean, scale = np.zeros(sum(sizes)), np.ones(sum(sizes))
        for part, end in zip(featurizer.parts, np.cumsum(sizes), strict=True):
            if part.normalizer is not None:
                own = slice(end - part.size, end)
                mean[own], scale[own] = part.normalizer.mean.ravel(), part.normalizer.scale.ravel()
        self._mean, self._deviation = mean, 1.0 / scale

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return float32 `[B, D]` for features `[B, D]`."""
        return np.asarray(features * self._deviation + self._mean, np.float32)
