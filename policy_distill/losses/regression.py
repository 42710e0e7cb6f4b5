"""Squared and Huber errors, `[B]`: of the deterministic action (continuous) or of the probabilities (discrete)."""

from __future__ import annotations

import torch
from torch.nn.functional import huber_loss

from policy_distill.losses._shapes import heads, parameters
from policy_distill.losses.batch import Batch, Outputs


def mse(batch: Batch, outputs: Outputs) -> torch.Tensor:
    """Return the squared error, summed over dimensions, `[B]`."""
    taught, chosen = _targets(batch, outputs)
    return ((taught - chosen) ** 2).sum(dim=-1)


def huber(batch: Batch, outputs: Outputs) -> torch.Tensor:
    """Return the Huber error (quadratic up to 1, linear beyond), summed over dimensions, `[B]`."""
    taught, chosen = _targets(batch, outputs)
    return huber_loss(chosen, taught, reduction="none").sum(dim=-1)


def _targets(batch: Batch, outputs: Outputs) -> tuple[torch.Tensor, torch.Tensor]:
    family, both = outputs.family, parameters(batch, outputs)
    if not family.head.is_discrete:
        taught, chosen = (family.mode(params) for params in both)
    else:
        taught, chosen = (
            torch.cat([logits.softmax(dim=-1) for logits in heads(family, params)], dim=-1) for params in both
        )
    return taught, chosen
