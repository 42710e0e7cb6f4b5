"""The diagonal Gaussian family: parameters are `[mean, log σ]`, `[B, 2A]`; the environment gets the action clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from policy_distill.families import _gaussian
from policy_distill.interfaces.students import Gradient
from policy_distill.student.head import Head


@dataclass(frozen=True)
class DiagonalGaussian:
    """A Gaussian over `dim` independent action dimensions, before clipping."""

    dim: int
    """Action dimensions `A`."""

    name = "diagonal_gaussian"
    has_density = True
    has_log_std = True
    default_loss = "forward_kl"

    @property
    def n_params(self) -> int:
        """A mean and a log σ for each dimension."""
        return 2 * self.dim

    @property
    def head(self) -> Head:
        """Means, then log σ."""
        return Head("mean", (self.dim,), extra=self.dim)

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return `[B]` log-densities of unclipped `actions` `[B, A]`."""
        return _gaussian.log_prob(params, actions)

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` differential entropies in nats."""
        return _gaussian.entropy(params)

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return the mean, `[B, A]`."""
        return params[..., : self.dim]

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw unclipped actions `[B, A]`."""
        return _gaussian.sample(params, generator)

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Return KL(p ‖ q) summed over dimensions, `[B]`."""
        return _gaussian.kl(p_params, q_params)

    def kl_gradient(self) -> Gradient:
        """Return forward KL and its gradient in closed form."""
        return _gaussian.kl_gradient

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this family."""
        return {"dim": self.dim}
