"""A value function of what a student sees: it learns beside the student, and shares nothing with it.

In: states, and what is to be expected of them. Out: values in their own units, and what a student's file holds of it.
Sharing nothing, it leaves the student as it would be without, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from policy_distill.config import DistillConfig
from policy_distill.families.deterministic import Deterministic
from policy_distill.interfaces.stages import Minibatches
from policy_distill.losses.batch import Batch
from policy_distill.losses.regression import mse
from policy_distill.networks.table import describe_layers
from policy_distill.run.critics.rows import Changed
from policy_distill.run.critics.scale import RunningScale
from policy_distill.seeds import USERS, purpose_seed
from policy_distill.student.actions import ActionMap
from policy_distill.student.record import CRITIC_PREFIX, CriticRecord
from policy_distill.student.spaces import SpaceRecord
from policy_distill.training.learner import GradientLearner
from policy_distill.training.schedule import Moment
from policy_distill.training.spec import StudentSpec

NARROWEST, WIDEST = 64, 256
"""Units of its two hidden layers: as many as the student's widest layer has, within these. What a state is worth takes
more than what is to be done in it, and no robot carries it."""


class ValueCritic:
    """Learns values by least squares, standardised by their running mean and deviation."""

    def __init__(self, spec: StudentSpec, config: DistillConfig, purpose: str, rate: float = 1.0) -> None:
        """Make one for students of `spec`, its learning rate `rate` times theirs; `purpose` tells its draws apart."""
        self._purpose, self._device = purpose, config.device
        seed = purpose_seed(config.seed, purpose) % USERS
        own = replace(config, seed=seed, learning_rate=rate * config.learning_rate)
        self._learner = GradientLearner(_critic_spec(spec), mse, own)
        self._scale = RunningScale()

    @property
    def begun(self) -> bool:
        """True once it has learnt; before that it says 0 of every state."""
        return self._scale.n > 0

    def values(self, features: torch.Tensor) -> torch.Tensor:
        """Return values `[B]`, float32 on the CPU, of features `[B, D]`."""
        mean, deviation = self._scale.mean, self._scale.deviation
        if not self.begun:
            return torch.zeros(len(features))
        return mean + deviation * self._learner.params(features)[:, 0].cpu()

    def explained(self, features: torch.Tensor, targets: torch.Tensor) -> float:
        """Return the share of the variance of targets `[B]` that it explains: 1 is all, below 0 worse than their mean.

        1 where they do not vary, and it is exact; else 0 where they do not.
        """
        rest = float((targets - self.values(features)).var(unbiased=False))
        whole = float(targets.var(unbiased=False))
        return 1.0 - rest / whole if whole > 0 else float(rest == 0)

    def learn(self, source: Minibatches, new: torch.Tensor, moment: Moment) -> float:
        """Learn from minibatches whose `teacher_params` `[B, 1]` are values, `new` `[n]` being the newest of them.

        Returns:
            The mean squared error, in units of the values' variance.
        """
        self._scale.add(new.double().numpy())
        mean, deviation = self._scale.mean, self._scale.deviation

        def standardised(batch: Batch) -> Batch:
            return replace(batch, teacher_params=(batch.teacher_params - mean) / deviation)

        own = replace(moment, seed=purpose_seed(moment.seed, self._purpose))
        return self._learner.learn(Changed(source, standardised), own)["train/loss"]

    def record(self, discount: float | None) -> CriticRecord:
        """Return what a student's file holds: the network, its last layer in the values' own units."""
        policy, mean, deviation = self._learner.policy, self._scale.mean, self._scale.deviation
        layers = describe_layers(policy.network, policy.featurizer.shape, CRITIC_PREFIX)
        tensors = {name.replace("network.", CRITIC_PREFIX): array for name, array in policy.tensors().items()}
        weight, bias = (tensors[layers[-1][key]] for key in ("weight", "bias"))
        tensors[layers[-1]["weight"]] = (weight * deviation).astype(np.float32)
        tensors[layers[-1]["bias"]] = (bias * deviation + mean).astype(np.float32)
        return CriticRecord(tensors, {"layers": layers, "discount": discount})

    def state(self) -> dict[str, np.ndarray]:
        """Return all that what it learns next depends on."""
        return {
            **self._learner.state(),
            "scale": self._scale.state(),
            "recoveries": np.array([self._learner.n_recoveries]),
        }

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, RuntimeError, KeyError: where that is of another critic.
        """
        self._learner.restore(tensors)
        self._scale = RunningScale.of(tensors["scale"])
        self._learner.n_recoveries = int(tensors["recoveries"][0])


def value_rows(batch: Batch, name: str) -> Batch:
    """Return a batch that is to be followed in a column `[B]`, such as the teacher's values."""
    return Batch(batch.features, batch.columns[name][:, None])


def critic_widths(n_widest: int) -> list[int]:
    """Return the hidden layers of a critic beside a student whose widest hidden layer has so many units."""
    return [min(max(n_widest, NARROWEST), WIDEST)] * 2


def _critic_spec(spec: StudentSpec) -> StudentSpec:
    """Return a critic as a student whose one action is a value: the same features, and the same kind of layers."""
    hidden = spec.network.partition(":")[2]
    widths = critic_widths(max(map(int, hidden.split(",")), default=0) if hidden else 0)
    one: SpaceRecord = {"type": "Box", "shape": [1], "low": [0.0], "high": [0.0], "dtype": "float32"}
    return replace(
        spec,
        network=f"mlp:{','.join(map(str, widths))}",
        family=Deterministic(1),
        log_std=None,
        action_space=one,
        action_map=ActionMap("none", (1,), "float32"),
        takes_action_masks=False,
    )
