"""The categorical family: parameters are logits `[B, n]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import log_softmax


@dataclass(frozen=True)
class Categorical:
    """One of `n` actions; logits need not be normalised."""

    n: int
    """Number of actions."""

    name = "categorical"

    @property
    def n_params(self) -> int:
        """One logit for each action."""
        return self.n

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return `[B]` log-probabilities of `actions` `[B]`."""
        return log_softmax(params, dim=-1).gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` entropies in nats."""
        log_p = log_softmax(params, dim=-1)
        return -_expect(log_p, log_p)

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return the most likely action, `[B]`."""
        return params.argmax(dim=-1)

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw actions `[B]`."""
        return torch.multinomial(params.softmax(dim=-1), 1, generator=generator).squeeze(-1)

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Return Σ p (log p - log q), `[B]`; an action that p never takes adds nothing."""
        log_p, log_q = log_softmax(p_params, dim=-1), log_softmax(q_params, dim=-1)
        return _expect(log_p, log_p - log_q)

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this family."""
        return {"n": self.n}


LEAST = -1e8
"""Log-probabilities are held above this, so that a masked action (minus infinity) meets no 0 x infinity."""


def _expect(log_p: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    p = log_p.exp()
    return torch.where(p > 0, p * values.clamp(LEAST, -LEAST), torch.zeros_like(p)).sum(dim=-1)
