"""The check at the border that every loss makes, and what only some families have."""

from __future__ import annotations

import torch

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.losses.batch import Batch, Outputs


def parameters(batch: Batch, outputs: Outputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the teacher's parameters, without gradient, and the student's.

    Raises:
        ValueError: unless both are `[B, P]`: broadcasting `[B, 1]` against `[B]` would train silently on all pairs.
    """
    taught, found = batch.teacher_params, outputs.params
    if taught.shape != found.shape or taught.ndim != 2:
        raise ValueError(f"parameters must be [B, P] both: {taught.shape} and {found.shape}")
    return taught.detach(), found


def heads(family: ActionDistribution, params: torch.Tensor) -> list[torch.Tensor]:
    """Return the logits `[B, n]` of each independent choice of a discrete family; a bit is a choice of two."""
    head = family.head
    if head.kind == "threshold":
        return [torch.stack([torch.zeros_like(bit), bit], dim=-1) for bit in params.unbind(dim=-1)]
    if head.reference:
        parts = params.split([size - 1 for size in head.sizes], dim=-1)
        return [torch.cat([torch.zeros_like(part[:, :1]), part], dim=-1) for part in parts]
    return list(params.split(list(head.sizes), dim=-1))


def require_discrete(family: ActionDistribution, what: str, instead: str) -> None:
    """Raise where a loss needs a finite number of actions.

    Raises:
        RequestError: naming what to use instead.
    """
    if not family.head.is_discrete:
        raise RequestError(f"{what} has no closed form for the family {family.name}; use {instead}")
