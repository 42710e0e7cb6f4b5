"""A single action without spread (TD3, DDPG, ARS, scripts): the parameters are the action itself, `[B, A]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import torch

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import Gradient
from policy_distill.student.head import Head


@dataclass(frozen=True)
class Deterministic:
    """An action of `dim` dimensions. It has no density, so no divergence of densities either."""

    dim: int
    """Action dimensions `A`."""

    name = "deterministic"
    has_density = False
    has_log_std = False
    default_loss = "mse"

    @property
    def n_params(self) -> int:
        """One for each dimension."""
        return self.dim

    @property
    def head(self) -> Head:
        """The action itself."""
        return Head("mean", (self.dim,))

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Raise: there is no density."""
        self._refuse("log-probability")

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Raise: there is no density."""
        self._refuse("entropy")

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return the action, `[B, A]`."""
        return params

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the action, `[B, A]`."""
        return params

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Raise: there is no density."""
        self._refuse("KL divergence")

    def kl_gradient(self) -> Gradient | None:
        """Return None: there is no density."""
        return None

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this family."""
        return {"dim": self.dim}

    def _refuse(self, what: str) -> NoReturn:
        raise RequestError(f"a deterministic policy has no {what}; use the loss mse or huber")
