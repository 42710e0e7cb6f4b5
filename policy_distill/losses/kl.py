"""Kullback-Leibler divergences, closed form, `[B]` in nats. The teacher's side carries no gradient."""

from __future__ import annotations

import torch

from policy_distill.losses._shapes import parameters
from policy_distill.losses.batch import Batch, Outputs


def forward_kl(batch: Batch, outputs: Outputs) -> torch.Tensor:
    """Return KL(teacher ‖ student), `[B]`: the student covers all that the teacher does (Rusu et al. 2015)."""
    return outputs.family.kl(*parameters(batch, outputs))


def reverse_kl(batch: Batch, outputs: Outputs) -> torch.Tensor:
    """Return KL(student ‖ teacher), `[B]`: the student keeps to what the teacher prefers."""
    taught, found = parameters(batch, outputs)
    return outputs.family.kl(found, taught)


def jeffreys(batch: Batch, outputs: Outputs) -> torch.Tensor:
    """Return KL(teacher ‖ student) + KL(student ‖ teacher), `[B]`: symmetric (Jeffreys 1946)."""
    taught, found = parameters(batch, outputs)
    return outputs.family.kl(taught, found) + outputs.family.kl(found, taught)
