"""Gradient steps: the student follows the teacher's labels.

In: a buffer of features and full teacher distributions. Out: a better student, and what the training measured.
"""

from __future__ import annotations

import math

import torch

from policy_distill.config import DistillConfig
from policy_distill.interfaces.stages import Minibatches, Stepper
from policy_distill.interfaces.students import Loss
from policy_distill.losses.likelihood import begin_draws
from policy_distill.training.autograd_step import AutogradStep
from policy_distill.training.dense_step import DenseStep, is_written_out
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.recovery import Divergence, Recovery
from policy_distill.training.schedule import learning_rate
from policy_distill.training.windows import drawn_batches


class Trainer:
    """Adam on the mean divergence over minibatches, its rate falling along a cosine; the student is the average."""

    def __init__(self, student: StudentPolicy, loss: Loss, config: DistillConfig) -> None:
        self.student = student
        self.loss = loss
        self.config = config
        self.stepper: Stepper = (
            DenseStep(student, loss, config.max_grad_norm, config.weight_decay)
            if is_written_out(student)
            else AutogradStep(student, loss, config.max_grad_norm, config.precision, config.weight_decay)
        )
        self.recovery = Recovery(config.max_recoveries)

    def fit(
        self,
        buffer: Minibatches,
        n_updates: int,
        progress: tuple[float, float],
        generator: torch.Generator,
        larger: float = 1.0,
    ) -> dict[str, float]:
        """Make `n_updates` gradient steps on minibatches that `generator` draws.

        `progress` is the share of all data collected before and after the rollout that these steps follow, in [0, 1];
        the learning rate, `larger` times that of the settings, falls from the one to the other.

        Raises:
            RunFault: for a loss that is not finite, after `max_recoveries` tries at a lower rate; the student keeps the
                weights that it had.
        """

        def fit(scale: float) -> dict[str, float]:
            return self._fit(buffer, n_updates, progress, generator, scale * larger)

        return self.recovery.attempt(self.stepper, fit)

    def _fit(
        self,
        buffer: Minibatches,
        n_updates: int,
        progress: tuple[float, float],
        generator: torch.Generator,
        scale: float,
    ) -> dict[str, float]:
        begin_draws(self.loss, generator.initial_seed())
        minibatches = drawn_batches(buffer, self.student, n_updates, self.config.batch_size, generator)
        before, after = progress
        measured = []
        for update, batch in enumerate(minibatches):
            rate = scale * learning_rate(self.config, before + (after - before) * update / n_updates)
            measured.append(self.stepper.step(batch, rate))
        loss, norm = (sum(float(value) for value in values) / n_updates for values in zip(*measured, strict=True))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Divergence(
                "the loss or its gradient is not finite: the student diverged; lower --learning-rate "
                f"(now {self.config.learning_rate}) or check the teacher's outputs"
            )
        self.stepper.write(self.student)
        return {"train/loss": loss, "train/grad_norm": norm}
