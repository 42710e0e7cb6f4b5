"""How the buffer keeps a state's features, and how many bytes that takes: images as bytes, frames in common once.

In: a `Featurizer`, and how many frames each of its images holds. Out: a `FeatureLayout`, from which the store is made
and its bytes are computed before there is one. NumPy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from policy_distill.student.features import Featurizer

SLOT_BYTES = 4
"""Bytes of one reference to a frame, and of its count of references."""


@dataclass(frozen=True)
class FeatureLayout:
    """Where each feature of a state lies."""

    shape: tuple[int, ...]
    """Of one state's features: `(D,)`, or `(C, H, W)` of an image."""
    byte_columns: np.ndarray
    """bool `[D]`: these features are bytes / 255, as pixels of an image among other keys are; none of an image."""
    n_stack: int = 1
    """Frames that an image holds, the newest last; 1 where it is kept as a whole."""

    @property
    def is_image(self) -> bool:
        """True where a state is one image of bytes."""
        return len(self.shape) == 3

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Of one frame of an image, `(C / n_stack, H, W)`."""
        return (self.shape[0] // self.n_stack, *self.shape[1:])

    @property
    def feature_bytes(self) -> int:
        """Bytes of one state's features as a network takes them."""
        return math.prod(self.shape) * (1 if self.is_image else 4)

    def n_frames(self, capacity: int) -> int:
        """Return the frames to make room for: one a state, and an eighth more for those that begin an episode."""
        return min(capacity + -(-capacity // 8), capacity * self.n_stack)

    def n_bytes(self, capacity: int) -> int:
        """Return the bytes that the features of `capacity` states take."""
        if self.n_stack > 1:
            frame = math.prod(self.frame_shape) + SLOT_BYTES
            return self.n_frames(capacity) * frame + capacity * self.n_stack * SLOT_BYTES
        return capacity * (self.feature_bytes - 3 * int(self.byte_columns.sum()))


def layout_of(featurizer: Featurizer, n_stack: int = 1) -> FeatureLayout:
    """Return the layout of features; images that are no whole number of frames are kept as they are."""
    if featurizer.is_image:
        fits = featurizer.shape[0] % n_stack == 0
        return FeatureLayout(featurizer.shape, np.zeros(0, dtype=bool), n_stack if fits else 1)
    columns = [np.full(part.size, part.scale is not None and part.normalizer is None) for part in featurizer.parts]
    return FeatureLayout(featurizer.shape, np.concatenate(columns))
