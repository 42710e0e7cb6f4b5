"""The generalised Jensen-Shannon divergence between discrete distributions, `[B]` in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import log_softmax

from policy_distill.errors import RequestError
from policy_distill.families.categorical import Categorical
from policy_distill.losses._shapes import heads, parameters, require_discrete
from policy_distill.losses.batch import Batch, Outputs


@dataclass(frozen=True)
class JensenShannon:
    """JSD_β / (β (1 - β)), JSD_β = β KL(p ‖ m) + (1 - β) KL(q ‖ m), m = β p + (1 - β) q, p the teacher, q the student.

    The division makes it continuous into forward KL at β = 0 and reverse KL at β = 1, where it would vanish without.
    Over several independent choices it is summed; the divergence of their products has no closed form.
    """

    beta: float = 0.5
    """Weight of the teacher in the mixture, from 0 to 1."""

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0.0 <= self.beta <= 1.0:
            raise RequestError(f"expected a β from 0 to 1, as in jensen_shannon:0.5, found {self.beta}")

    def __call__(self, batch: Batch, outputs: Outputs) -> torch.Tensor:
        """Return the divergence, `[B]`."""
        family, (taught, found) = outputs.family, parameters(batch, outputs)
        require_discrete(family, "the Jensen-Shannon divergence", "jeffreys, which is symmetric too, or forward_kl")
        pairs = zip(heads(family, taught), heads(family, found), strict=True)
        return torch.stack([self._one(p, q) for p, q in pairs]).sum(dim=0)

    def _one(self, p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        kl = Categorical(p.shape[-1]).kl
        if self.beta in (0.0, 1.0):
            return kl(p, q) if self.beta == 0.0 else kl(q, p)
        parts = (log_softmax(p, dim=-1) + math.log(self.beta), log_softmax(q, dim=-1) + math.log1p(-self.beta))
        mixture = torch.logaddexp(*parts)
        # Equal parts leave rounding of a few 1e-8, of either sign.
        return (kl(p, mixture) / (1.0 - self.beta) + kl(q, mixture) / self.beta).clamp(min=0.0)
