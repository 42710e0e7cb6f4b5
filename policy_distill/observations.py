"""Observations on their way into a policy: batches, flattening and normalisation. NumPy alone.

In: raw observations as the environment gives them. Out: float32 features `[B, D]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Normalizer:
    """Fixed observation statistics, as of SB3's `VecNormalize`: clip((x - mean) / sqrt(variance + epsilon))."""

    mean: np.ndarray
    """float64 of the observation's shape."""
    variance: np.ndarray
    """float64 of the observation's shape."""
    clip: float = 10.0
    """Features are clipped to [-clip, clip]; infinity for none."""
    epsilon: float = 1e-8
    """Added to the variance."""

    def __post_init__(self) -> None:
        """Check that the statistics can be used."""
        if self.mean.shape != self.variance.shape:
            raise ValueError(f"mean {self.mean.shape} and variance {self.variance.shape} must have one shape")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.variance).all() and (self.variance >= 0).all()):
            raise ValueError("observation statistics must be finite, and variances at least 0")

    @property
    def scale(self) -> np.ndarray:
        """1 / sqrt(variance + epsilon), float64."""
        return 1.0 / np.sqrt(self.variance + self.epsilon)

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Return normalised observations, float32, computed in float64 as SB3 does."""
        normalised = np.clip((obs - self.mean) * self.scale, -self.clip, self.clip)
        return np.asarray(normalised, dtype=np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; an infinite clip is null."""
        return {
            "mean": self.mean.ravel().tolist(),
            "variance": self.variance.ravel().tolist(),
            "clip": self.clip if np.isfinite(self.clip) else None,
            "epsilon": self.epsilon,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], shape: tuple[int, ...]) -> Normalizer:
        """Rebuild from `to_json`."""
        return cls(
            mean=np.asarray(values["mean"], dtype=np.float64).reshape(shape),
            variance=np.asarray(values["variance"], dtype=np.float64).reshape(shape),
            clip=np.inf if values["clip"] is None else float(values["clip"]),
            epsilon=float(values["epsilon"]),
        )
