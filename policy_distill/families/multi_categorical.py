"""Several independent categoricals: parameters are their logits side by side, `[B, Σ nvec]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy_distill.families._for_many import heads_kl_for_many
from policy_distill.families.categorical import Categorical, softmax_kl
from policy_distill.interfaces.students import Gradient
from policy_distill.student.head import Head


@dataclass(frozen=True)
class MultiCategorical:
    """One categorical for each head; a softmax over all heads at once would be another distribution."""

    nvec: tuple[int, ...]
    """Actions of each head."""

    name = "multi_categorical"
    has_density = True
    has_log_std = False
    default_loss = "forward_kl"

    @property
    def n_params(self) -> int:
        """One logit for each action of each head."""
        return sum(self.nvec)

    @property
    def head(self) -> Head:
        """One choice for each head."""
        return Head("argmax", self.nvec)

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return `[B]` log-probabilities of `actions` `[B, heads]`."""
        parts = zip(self._heads(), self._split(params), actions.unbind(dim=-1), strict=True)
        return torch.stack([head.log_prob(logits, chosen) for head, logits, chosen in parts]).sum(dim=0)

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` entropies in nats."""
        parts = zip(self._heads(), self._split(params), strict=True)
        return torch.stack([head.entropy(logits) for head, logits in parts]).sum(dim=0)

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return the most likely action of each head, `[B, heads]`."""
        return torch.stack([logits.argmax(dim=-1) for logits in self._split(params)], dim=-1)

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw actions `[B, heads]`."""
        parts = zip(self._heads(), self._split(params), strict=True)
        return torch.stack([head.sample(logits, generator) for head, logits in parts], dim=-1)

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Return the heads' KL(p ‖ q), summed, `[B]`."""
        parts = zip(self._heads(), self._split(p_params), self._split(q_params), strict=True)
        return torch.stack([head.kl(p, q) for head, p, q in parts]).sum(dim=0)

    def kl_gradient(self) -> Gradient:
        """Return forward KL and its gradient in closed form."""
        return _each_kl(self.nvec)

    def kl_gradient_for_many(self) -> Gradient:
        """Return forward KL and its gradient for many students at once, in closed form."""
        return heads_kl_for_many(self.nvec)

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this family."""
        return {"nvec": list(self.nvec)}

    def _heads(self) -> list[Categorical]:
        return [Categorical(n) for n in self.nvec]

    def _split(self, params: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return params.split(list(self.nvec), dim=-1)


def _each_kl(nvec: Sequence[int]) -> Gradient:
    ends = np.cumsum(nvec)[:-1]

    def each(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = zip(np.split(teacher, ends), np.split(student, ends), strict=True)
        values, gradients = zip(*(softmax_kl(p, q) for p, q in pairs), strict=True)
        return np.sum(values, axis=0), np.concatenate(gradients)

    return each
