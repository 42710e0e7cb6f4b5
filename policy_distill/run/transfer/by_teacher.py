"""A student that goes on in another task by what a teacher of that task does.

In: a student of the task, and the parts of a distillation. Out: a session whose learner begins at that student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from policy_distill.collection.rollout import Rollout
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.tuning_record import TransferRecord
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import Loss
from policy_distill.run.finetuning.form import with_spread
from policy_distill.run.finetuning.session import check_view
from policy_distill.run.session import Session
from policy_distill.student.record import StudentRecord
from policy_distill.training.frozen import freeze_layers
from policy_distill.training.learner import GradientLearner
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec


class TransferSession(Session):
    """A stream and one learner, which begins at a student in place of random weights."""

    def __init__(
        self,
        teacher: Teacher,
        envs: Environments,
        network: str,
        loss: Loss,
        config: DistillConfig,
        *,
        origin: StudentRecord,
        transferred: TransferRecord,
        freeze: Sequence[str] = (),
    ) -> None:
        """Begin at `origin`, whose layers of `freeze` stay as they are.

        Raises:
            RequestError: where the environments show another thing than it sees.
        """
        super().__init__(teacher, envs, network, loss, config)
        check_view(origin, self.stream.sight)
        self.origin, self.freeze, self.transferred = origin, tuple(freeze), transferred
        self._started = with_spread(origin, 0.0)

    def learn(
        self, rollout: Rollout, teacher_params: torch.Tensor, values: torch.Tensor | None = None
    ) -> dict[str, float]:
        """Store a labelled rollout and train; the features are those that the student is used to."""
        if not self.stream.is_open:
            self.stream.open(self.origin.description.normalizer)
        return super().learn(rollout, teacher_params, values)

    def specify(self, normalizer: Any) -> StudentSpec:
        """Return what the student is, apart from its weights: what it was."""
        return StudentPolicy.from_record(self._started).spec

    def create_student(self, normalizer: Any, teacher_params: torch.Tensor | None = None) -> None:
        """Make who learns, at the student's weights; log σ that it does not bring is the teacher's own."""
        super().create_student(normalizer, teacher_params)
        learner, policy = self.learner, StudentPolicy.from_record(self._started)
        if self.origin.plan.log_std == "dropped" and teacher_params is not None:
            policy.start_at(teacher_params)
        if not isinstance(learner, GradientLearner):
            raise RequestError(f"expected a student that learns by gradients, found {self.network}; distil a new one")
        freeze_layers(learner.policy, self.freeze)
        try:
            learner.begin_at(policy)
        except ValueError:
            raise RequestError(
                f"expected the layers of {self.network} in the student, found others; transfer one that was not "
                "slimmed or pruned"
            ) from None


def as_it_saw(config: DistillConfig, origin: StudentRecord) -> DistillConfig:
    """Return settings under which a student sees what it is used to.

    Raises:
        RequestError: for settings that a student which was begun elsewhere cannot have.
    """
    if config.reward_weight or config.objective != "kl" or config.value_gate or config.value_weight:
        raise RequestError(
            "expected only the divergence from the teacher in a transfer, found an objective, a gate or a weight of "
            "rewards or values; leave it out, or distil a new student"
        )
    view = origin.view
    if view.wrapper is not None:
        raise RequestError(
            "expected a student without a wrapper, found one that sees its environment through one; distil a new "
            "student"
        )
    return replace(config, observe=view.names, observation_keys=(), observation_names=",".join(view.labels))
