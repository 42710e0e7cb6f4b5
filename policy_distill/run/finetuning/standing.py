"""Where a student stands: between a random policy and its teacher, as it was judged last.

In: mean returns on the episodes that students are judged on. Out: the share of the teacher's gain that it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Standing:
    """What the selection has found so far."""

    random: float = 0.0
    """What a random policy scores."""
    teacher: float = math.nan
    """What the teacher scores; NaN where there is none, or it gains nothing."""
    share_kept: float = 0.0
    """What the student has of the teacher's gain: nothing before it was judged, NaN where the teacher has none."""

    def look(self, score: float) -> None:
        """Take note of what the student scores."""
        self.share_kept = (score - self.random) / (self.teacher - self.random)

    def state(self) -> np.ndarray:
        """Return all of it."""
        return np.array([self.random, self.teacher, self.share_kept], np.float64)

    def restore(self, state: np.ndarray) -> None:
        """Take what `state` returned.

        Raises:
            ValueError: where that is something else.
        """
        if state.shape != (3,) or not np.isfinite(state[0]):
            raise ValueError("a standing of another run")
        self.random, self.teacher, self.share_kept = state.tolist()
