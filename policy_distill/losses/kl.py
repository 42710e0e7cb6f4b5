"""Kullback-Leibler divergences, closed form, `[B]` in nats. The teacher's side carries no gradient."""

from __future__ import annotations

import torch

from policy_distill.interfaces.students import ActionDistribution
from policy_distill.losses._shapes import detached


def forward_kl(family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    """Return KL(teacher ‖ student), `[B]`: the student covers all that the teacher does (Rusu et al. 2015)."""
    return family.kl(detached(teacher_params, student_params), student_params)


def reverse_kl(family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    """Return KL(student ‖ teacher), `[B]`: the student keeps to what the teacher prefers."""
    return family.kl(student_params, detached(teacher_params, student_params))


def jeffreys(family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    """Return KL(teacher ‖ student) + KL(student ‖ teacher), `[B]`: symmetric (Jeffreys 1946)."""
    teacher_params = detached(teacher_params, student_params)
    return family.kl(teacher_params, student_params) + family.kl(student_params, teacher_params)
