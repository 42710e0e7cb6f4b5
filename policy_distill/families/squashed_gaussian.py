"""The squashed Gaussian of SAC, TQC and CrossQ: tanh of a diagonal Gaussian whose `[mean, log σ]` parametrise it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import softplus

from policy_distill.families import _gaussian
from policy_distill.interfaces.students import Gradient
from policy_distill.student.head import Head

INSIDE = 1.0 - 1e-6
"""Actions are held within this of the bounds before atanh."""


@dataclass(frozen=True)
class SquashedGaussian:
    """tanh of a Gaussian over `dim` independent dimensions; actions lie in (-1, 1)."""

    dim: int
    """Action dimensions `A`."""

    name = "squashed_gaussian"
    has_density = True
    has_log_std = True
    default_loss = "forward_kl"

    @property
    def n_params(self) -> int:
        """A mean and a log σ of the base Gaussian for each dimension."""
        return 2 * self.dim

    @property
    def head(self) -> Head:
        """Means that are squashed, then log σ."""
        return Head("tanh", (self.dim,), extra=self.dim)

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return `[B]` log-densities of squashed `actions` `[B, A]`."""
        base = torch.atanh(actions.clamp(-INSIDE, INSIDE))
        # log(1 - tanh(x)^2), in a form that does not cancel for large x.
        log_slope = 2.0 * (math.log(2.0) - base - softplus(-2.0 * base))
        return _gaussian.log_prob(params, base) - log_slope.sum(dim=-1)

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` entropies of the *base* Gaussian in nats; that of the squashed one has no closed form."""
        return _gaussian.entropy(params)

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return tanh of the mean, `[B, A]`: SB3's deterministic action."""
        return torch.tanh(params[..., : self.dim])

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw squashed actions `[B, A]`."""
        return torch.tanh(_gaussian.sample(params, generator))

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Return KL(p ‖ q), `[B]`: that of the base Gaussians, exactly, since tanh is a bijection."""
        return _gaussian.kl(p_params, q_params)

    def kl_gradient(self) -> Gradient:
        """Return forward KL and its gradient in closed form: those of the base Gaussians."""
        return _gaussian.kl_gradient

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this family."""
        return {"dim": self.dim}
