"""The squared 2-Wasserstein distance between diagonal Gaussians, `[B]`, in squared action units."""

from __future__ import annotations

import torch

from policy_distill.errors import RequestError
from policy_distill.families import _gaussian
from policy_distill.losses._shapes import parameters
from policy_distill.losses.batch import Batch, Outputs


def wasserstein(batch: Batch, outputs: Outputs) -> torch.Tensor:
    """Return ‖Δμ‖² + ‖Δσ‖², `[B]`."""
    family, (taught, found) = outputs.family, parameters(batch, outputs)
    plain = family.head.kind == "mean"
    if plain and not family.head.extra:
        return ((taught - found) ** 2).sum(dim=-1)
    if not (plain and family.has_log_std):
        raise RequestError(
            f"the Wasserstein distance has no closed form for the family {family.name}; use forward_kl, or mse"
        )
    (p_mean, p_log_std), (q_mean, q_log_std) = _gaussian.split(taught), _gaussian.split(found)
    return ((p_mean - q_mean) ** 2 + (p_log_std.exp() - q_log_std.exp()) ** 2).sum(dim=-1)
