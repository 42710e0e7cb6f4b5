"""The student that acts a learning step behind the newest: environments may be stepped while that one learns.

In: a learner, before it learns of a rollout. Out: the student that acts in the rollout after that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from policy_distill.interfaces.stages import Learner
from policy_distill.student.runtime import Student


@dataclass(frozen=True)
class Acting:
    """A learner's student at one moment, which goes on acting when the learner goes on."""

    weights: dict[str, torch.Tensor]
    """What it is made of, for `Learner.set_weights`."""
    student: Student
    """Itself."""

    @classmethod
    def of(cls, learner: Learner) -> Acting:
        """Return a learner's student as it is now."""
        return cls(learner.weights(), learner.student())

    @classmethod
    def restored(cls, learner: Learner, weights: dict[str, torch.Tensor]) -> Acting:
        """Return the student of earlier weights, such as a checkpoint's; the learner's own stay.

        Raises:
            ValueError, RuntimeError: where they are of another student.
        """
        newest = learner.weights()
        learner.set_weights(weights)
        try:
            return cls(weights, learner.student())
        finally:
            learner.set_weights(newest)
