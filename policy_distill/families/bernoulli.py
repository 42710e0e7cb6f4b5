"""Independent bits: parameters are the logits of their being 1, `[B, n]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import logsigmoid, softplus

from policy_distill.families._for_many import bits_kl_for_many
from policy_distill.interfaces.students import Gradient
from policy_distill.student.head import Head


@dataclass(frozen=True)
class Bernoulli:
    """`n` bits; everything is summed over them."""

    n: int
    """Number of bits."""

    name = "bernoulli"
    has_density = True
    has_log_std = False
    default_loss = "forward_kl"

    @property
    def n_params(self) -> int:
        """One logit for each bit."""
        return self.n

    @property
    def head(self) -> Head:
        """Bits that are 1 above 0."""
        return Head("threshold", (self.n,))

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return `[B]` log-probabilities of `actions` `[B, n]`, each 0 or 1."""
        return (actions * params - softplus(params)).sum(dim=-1)

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` entropies in nats."""
        return (softplus(params) - params * params.sigmoid()).sum(dim=-1)

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return the more likely value of each bit, `[B, n]`; 0 where both are equally likely, as SB3 rounds."""
        return (params > 0).long()

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw actions `[B, n]`."""
        return torch.bernoulli(params.sigmoid(), generator=generator).long()

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Return KL(p ‖ q) summed over bits, `[B]`."""
        ones = p_params.sigmoid() * (logsigmoid(p_params) - logsigmoid(q_params))
        zeros = (-p_params).sigmoid() * (logsigmoid(-p_params) - logsigmoid(-q_params))
        return (ones + zeros).sum(dim=-1)

    def kl_gradient(self) -> Gradient:
        """Return forward KL and its gradient in closed form."""
        return _kl_gradient

    def kl_gradient_for_many(self) -> Gradient:
        """Return forward KL and its gradient for many students at once, in closed form."""
        return bits_kl_for_many

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this family."""
        return {"n": self.n}


def _kl_gradient(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = np.exp(-np.logaddexp(0, -teacher))
    # log σ(x) = -softplus(-x), and log(1 - σ(x)) = -softplus(x).
    ones = np.logaddexp(0, -student) - np.logaddexp(0, -teacher)
    zeros = np.logaddexp(0, student) - np.logaddexp(0, teacher)
    return (p * ones + (1 - p) * zeros).sum(axis=0), np.exp(-np.logaddexp(0, -student)) - p
