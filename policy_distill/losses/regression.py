"""Squared and Huber errors, `[B]`: of the deterministic action (continuous) or of the probabilities (discrete)."""

from __future__ import annotations

import torch
from torch.nn.functional import huber_loss

from policy_distill.interfaces.students import ActionDistribution
from policy_distill.losses._shapes import detached, heads


def mse(family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    """Return the squared error, summed over dimensions, `[B]`."""
    taught, chosen = _targets(family, teacher_params, student_params)
    return ((taught - chosen) ** 2).sum(dim=-1)


def huber(family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor) -> torch.Tensor:
    """Return the Huber error (quadratic up to 1, linear beyond), summed over dimensions, `[B]`."""
    taught, chosen = _targets(family, teacher_params, student_params)
    return huber_loss(chosen, taught, reduction="none").sum(dim=-1)


def _targets(
    family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    teacher_params = detached(teacher_params, student_params)
    if not family.head.is_discrete:
        return family.mode(teacher_params), family.mode(student_params)
    taught, chosen = (
        torch.cat([logits.softmax(dim=-1) for logits in heads(family, params)], dim=-1)
        for params in (teacher_params, student_params)
    )
    return taught, chosen
