"""The categorical family: parameters are logits `[B, n]`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import log_softmax

from policy_distill.families._for_many import LEAST, softmax_kl_for_many
from policy_distill.interfaces.students import Gradient
from policy_distill.student.head import Head


@dataclass(frozen=True)
class Categorical:
    """One of `n` actions; logits need not be normalised."""

    n: int
    """Number of actions."""

    name = "categorical"
    has_density = True
    has_log_std = False
    default_loss = "forward_kl"

    @property
    def n_params(self) -> int:
        """One logit for each action."""
        return self.n

    @property
    def head(self) -> Head:
        """One choice."""
        return Head("argmax", (self.n,))

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

    def kl_gradient(self) -> Gradient:
        """Return forward KL and its gradient in closed form."""
        return softmax_kl

    def kl_gradient_for_many(self) -> Gradient:
        """Return forward KL and its gradient for many students at once, in closed form."""
        return softmax_kl_for_many

    def mixture(self, params: torch.Tensor) -> torch.Tensor:
        """Return logits `[..., n]` of the mean of the probabilities of `[M, ..., n]`."""
        return torch.logsumexp(log_softmax(params, dim=-1), dim=0) - math.log(len(params))

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this family."""
        return {"n": self.n}


def _expect(log_p: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    p = log_p.exp()
    return torch.where(p > 0, p * values.clamp(LEAST, -LEAST), torch.zeros_like(p)).sum(dim=-1)


def softmax_kl(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return forward KL `[B]` and its gradient `[n, B]` for logits `[n, B]`, in NumPy."""
    log_p, log_q = _log_softmax(teacher), _log_softmax(student)
    p = np.exp(log_p)
    # An action that the teacher never takes adds nothing, also where its log-probability is minus infinity.
    values = (p * np.maximum(log_p, LEAST)).sum(axis=0) - (p * np.maximum(log_q, LEAST)).sum(axis=0)
    return values, np.exp(log_q) - p


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=0)
    return shifted - np.log(np.exp(shifted).sum(axis=0))
