"""A student that learns from a buffer of labelled states, whatever kind it is.

In: a buffer, and where a run is. Out: a better student.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.interfaces.stages import Minibatches
from policy_distill.interfaces.students import Loss
from policy_distill.networks.table import has_actions, has_memory, make_network
from policy_distill.student.pixels import image_keys
from policy_distill.student.runtime import Student
from policy_distill.training.dense_step import is_perceptron
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.schedule import Moment, n_updates
from policy_distill.training.spec import StudentSpec
from policy_distill.training.trainer import Trainer
from policy_distill.training.windows import batch_size_for

Weights = dict[str, torch.Tensor]
Array = TypeVar("Array", np.ndarray, torch.Tensor)

USUAL = DistillConfig().learning_rate
"""The rate of who chose none."""
LARGER, WIDTH = 3.0, 64
"""Perceptrons of up to so many units a layer learn at so many times the usual rate where held-out states decide how
long: they come as close as at that rate in three times the steps. Wider ones less so, in proportion."""


class GradientLearner:
    """A network that learns by gradient steps on minibatches."""

    def __init__(
        self, spec: StudentSpec, loss: Loss, config: DistillConfig, teacher_params: torch.Tensor | None = None
    ) -> None:
        """Make the student of `spec` and its optimiser; log σ starts at that of the labels `[B, P]`."""
        self.policy = StudentPolicy(spec, torch.Generator().manual_seed(config.seed)).to(config.device)
        # A rate that somebody chose is taken as it is.
        self._larger = larger_rate(self.policy.network) if config.learning_rate == USUAL else 1.0
        batch_size = batch_size_for(self.policy.network, config.batch_size)
        # Fewer steps on larger minibatches have to be larger steps.
        rate = config.learning_rate * batch_size / config.batch_size
        self.config = config = replace(config, batch_size=batch_size, learning_rate=rate)
        if teacher_params is not None:
            self.policy.start_at(teacher_params.to(config.device))
        self.trainer = Trainer(self.policy, loss, config)

    @staticmethod
    def check(network: str, activation: str) -> None:
        """Check the specification of a student's network.

        Raises:
            RequestError: for an unknown kind, or sizes that it cannot have.
        """
        make_network(network, activation)

    @staticmethod
    def columns(network: str) -> tuple[str, ...]:
        """Return what the buffer is to keep beside features and labels: episodes' starts, for one that remembers.

        And the actions, for one that remembers these too.
        """
        names = ("episode_starts", "actions")
        return names[: has_memory(network) + has_actions(network)]

    @staticmethod
    def n_params(spec: StudentSpec) -> int:
        """Return how many parameters the student's network will have, before it is made.

        Raises:
            RequestError: for a cnn without an image, more convolutions than an image has room for, or images that a
                student with a memory would take as vectors.
        """
        if has_memory(spec.network) and image_keys(spec.observation_space):
            kind = spec.network.partition(":")[0]
            raise RequestError(
                f"expected vectors for a {kind}, found images; use cnn:16,32, or leave images out with --observe"
            )
        return spec.body.n_params(spec.featurizer.shape, spec.n_outputs)

    @property
    def n_recoveries(self) -> int:
        """How often it went back to its last good weights."""
        return self.trainer.recovery.n

    @n_recoveries.setter
    def n_recoveries(self, n: int) -> None:
        """Set the count, as of a checkpoint."""
        self.trainer.recovery.n = n

    def learn(self, buffer: Minibatches, moment: Moment) -> dict[str, float]:
        """Learn from all that is stored, a rollout of `moment` being the newest; return what was measured."""
        generator = torch.Generator().manual_seed(moment.seed)
        n_steps = n_updates(self.config, moment.n_new, moment.before, even=moment.measured)
        larger = self._larger if moment.measured else 1.0
        return self.trainer.fit(buffer, n_steps, (moment.before, moment.after), generator, larger)

    @torch.no_grad()
    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return the student's distribution parameters `[B, P]` for features `[B, D]`, on the device of these."""
        return self.policy.params(features.to(self.config.device)).to(features.device)

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the student that acts, as it is now."""
        return Student.of(self.policy.to_record(provenance or {}, retention))

    def weights(self) -> Weights:
        """Return a copy of the student's weights."""
        return {name: value.detach().clone() for name, value in self.policy.state_dict().items()}

    def set_weights(self, weights: Weights) -> None:
        """Give the student other weights.

        Raises:
            ValueError: where they are of another network.
        """
        if forms_of(weights) != forms_of(self.policy.state_dict()):
            raise ValueError("weights of another network")
        self.policy.load_state_dict(weights)

    def begin_at(self, policy: StudentPolicy) -> None:
        """Learn on from the weights of another student of the same network.

        Raises:
            ValueError: where that is of another network.
        """
        self.set_weights(policy.state_dict())
        self.trainer.stepper.read(self.policy)

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients of the last update, by the names of the weights."""
        return {f"gradients/{name}": grad for name, grad in self.trainer.stepper.gradients().items()}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that what it learns next depends on, but for the count of its recoveries."""
        tensors = {f"student.{name}": array for name, array in self.policy.tensors().items()}
        return tensors | {f"training.{name}": array for name, array in self.trainer.stepper.state().items()}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, RuntimeError: where that is of another student.
        """
        self.policy.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in named(tensors, "student.").items()}
        )
        self.trainer.stepper.restore(named(tensors, "training."))


def larger_rate(network: nn.Sequential) -> float:
    """Return what the learning rate of a network is multiplied by where held-out states decide how long it learns."""
    if not is_perceptron(list(network)):
        return 1.0
    *hidden, _ = (layer.out_features for layer in network if isinstance(layer, nn.Linear))
    return min(max(LARGER * WIDTH / max(hidden, default=WIDTH), 1.0), LARGER)


def forms_of(weights: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return shapes and types by name."""
    return {name: (value.shape, value.dtype) for name, value in weights.items()}


def named(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
