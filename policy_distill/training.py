"""Gradient steps: the student follows the teacher's labels.

In: a buffer of features and full teacher distributions. Out: a better student, and what the training measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from policy_distill.buffer import Buffer
from policy_distill.config import DistillConfig
from policy_distill.errors import RunFault
from policy_distill.interfaces import Loss
from policy_distill.student import StudentPolicy

FINAL_RATE = 0.01
"""The learning rate at the end, as a share of the one at the start."""


class Trainer:
    """Adam on the mean divergence over minibatches, its rate falling along a cosine."""

    def __init__(self, student: StudentPolicy, loss: Loss, config: DistillConfig) -> None:
        self.student = student
        self.loss = loss
        self.config = config
        # The fused form does all parameters in one kernel; on networks this small the loop over tensors is the cost.
        self.optimizer = torch.optim.Adam(student.parameters(), lr=config.learning_rate, fused=config.device == "cpu")

    def fit(
        self, buffer: Buffer, n_updates: int, progress: tuple[float, float], generator: torch.Generator
    ) -> dict[str, float]:
        """Make `n_updates` gradient steps on minibatches that `generator` draws.

        `progress` is the share of all data collected before and after the rollout that these steps follow, in [0, 1];
        the learning rate falls from the one to the other.

        Raises:
            RunFault: for a loss that is not finite, before it reaches the weights of the run's result.
        """
        losses, norms = torch.zeros(n_updates), torch.zeros(n_updates)
        before, after = progress
        for update in range(n_updates):
            self._set_rate(before + (after - before) * update / n_updates)
            features, teacher_params = buffer.sample(self.config.batch_size, generator)
            losses[update], norms[update] = self._step(features, teacher_params)
        if not bool(torch.isfinite(losses).all() and torch.isfinite(norms).all()):
            raise RunFault(
                "the loss or its gradient is not finite: the student diverged; lower --learning-rate "
                f"(now {self.config.learning_rate}) or check the teacher's outputs"
            )
        return {"train/loss": float(losses.mean()), "train/grad_norm": float(norms.mean())}

    def _set_rate(self, progress: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * _cosine(progress)

    def _step(self, features: torch.Tensor, teacher_params: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        student_params = self.student.params(features)
        loss = self.loss(self.student.spec.family, teacher_params, student_params).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.student.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        return loss.detach(), norm


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch use one thread within: on small networks a second costs more than it brings, and moves the result."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cosine(progress: float) -> float:
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
