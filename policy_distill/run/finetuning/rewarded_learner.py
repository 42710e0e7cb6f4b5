"""Two ways to learn, in one student: by the divergence from a teacher, and by reward.

In: a buffer of labelled states, and rollouts that the student sampled. Out: a better student.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy_distill.interfaces.stages import Minibatches
from policy_distill.run.finetuning.experience import Experience
from policy_distill.run.finetuning.ppo import PPOLearner
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.student.runtime import Student
from policy_distill.training.buffer import Buffer
from policy_distill.training.learner import GradientLearner, Weights, named
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.schedule import Moment

PREFIX = "training.ppo."
"""What the names of PPO's own arrays begin with in a checkpoint."""


class RewardedLearner:
    """A learner by gradients of a divergence, and PPO, that change one and the same network in turns."""

    def __init__(self, inner: GradientLearner, ppo: PPOLearner, tuning: FinetuneConfig) -> None:
        self._inner, self._ppo = inner, ppo
        self.tuning = tuning
        """PPO's settings."""

    @property
    def policy(self) -> StudentPolicy:
        """The network of both."""
        return self._inner.policy

    @property
    def n_recoveries(self) -> int:
        """How often one of them went back to its last good weights."""
        return self._inner.n_recoveries + self._ppo.n_recoveries

    @n_recoveries.setter
    def n_recoveries(self, n: int) -> None:
        """Set the count, as of a checkpoint."""
        self._inner.n_recoveries = n - self._ppo.n_recoveries

    def learn_by_reward(self, seen: Experience, buffer: Buffer, moment: Moment) -> dict[str, float]:
        """Learn from a rollout that the student sampled, as it is now; return what was measured.

        Raises:
            RunFault: as of `PPOLearner.learn`.
        """
        self._ppo.take(seen)
        measured = self._ppo.learn(buffer, moment)
        # The divergence goes on from here, with what its optimiser knows of the way so far.
        self._inner.begin_at(self.policy)
        return measured

    def learn(self, buffer: Minibatches, moment: Moment) -> dict[str, float]:
        """Learn from all that is stored; see `GradientLearner.learn`."""
        return self._inner.learn(buffer, moment)

    def go_back(self, weights: Weights) -> None:
        """Give the student earlier weights, and go on from them by smaller steps of PPO."""
        self._ppo.go_back(weights)
        self._inner.begin_at(self.policy)

    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return the student's distribution parameters `[B, P]` for features `[B, D]`."""
        return self._inner.params(features)

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the student that acts, as it is now."""
        return self._inner.student(provenance, retention)

    def weights(self) -> Weights:
        """Return a copy of the student's weights."""
        return self._inner.weights()

    def set_weights(self, weights: Weights) -> None:
        """Give the student other weights; see `GradientLearner.set_weights`."""
        self._inner.set_weights(weights)

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients of the divergence's last update, by the names of the weights."""
        return self._inner.gradients()

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that what it learns next depends on."""
        of_ppo = {name.removeprefix("training."): array for name, array in self._ppo.state().items()}
        own = {f"{PREFIX}{name}": array for name, array in of_ppo.items() if not name.startswith("student.")}
        return {**self._inner.state(), **own, f"{PREFIX}recoveries": np.array([self._ppo.n_recoveries])}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, RuntimeError, KeyError: where that is of another student.
        """
        own = named(tensors, PREFIX)
        self._inner.restore({name: array for name, array in tensors.items() if not name.startswith(PREFIX)})
        students = {name: array for name, array in tensors.items() if name.startswith("student.")}
        self._ppo.restore(students | {f"training.{name}": array for name, array in own.items()})
        self._ppo.n_recoveries = int(own["recoveries"][0])
