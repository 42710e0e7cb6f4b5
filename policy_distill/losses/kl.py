"""Kullback-Leibler divergences, closed form, `[B]` in nats. The teacher's side carries no gradient."""

from __future__ import annotations

import torch

from policy_distill.interfaces import ActionDistribution


def forward_kl(family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    """Return KL(teacher ‖ student), `[B]`: the student covers all that the teacher does (Rusu et al. 2015)."""
    return family.kl(_detached(teacher_params, student_params), student_params)


def reverse_kl(family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    """Return KL(student ‖ teacher), `[B]`: the student keeps to what the teacher prefers."""
    return family.kl(student_params, _detached(teacher_params, student_params))


def _detached(teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    # Broadcasting [B, 1] against [B] would train silently on [B, B] pairs.
    if teacher_params.shape != student_params.shape or teacher_params.ndim != 2:
        raise ValueError(f"parameters must be [B, P] both: {teacher_params.shape} and {student_params.shape}")
    return teacher_params.detach()
