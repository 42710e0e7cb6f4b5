"""Forward KL between softened discrete distributions, `[B]` in nats (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from policy_distill.errors import RequestError
from policy_distill.losses._shapes import parameters, require_discrete
from policy_distill.losses.batch import Batch, Outputs


@dataclass(frozen=True)
class TemperatureKL:
    """KL(teacher ‖ student) of both logits divided by T, times T², which keeps the size of the gradient."""

    temperature: float = 2.0
    """T, more than 0: above 1 the teacher's lesser preferences weigh more, below 1 only the best action."""

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0.0 < self.temperature < float("inf"):
            raise RequestError(f"expected a temperature above 0, as in temperature_kl:2, found {self.temperature}")

    def __call__(self, batch: Batch, outputs: Outputs) -> torch.Tensor:
        """Return the divergence, `[B]`."""
        family, (taught, found) = outputs.family, parameters(batch, outputs)
        require_discrete(family, "a temperature", "forward_kl")
        return family.kl(taught / self.temperature, found / self.temperature) * self.temperature**2
