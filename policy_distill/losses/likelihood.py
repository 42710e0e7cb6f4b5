"""Negative log-likelihood of the teacher's actions, `[B]` in nats: behavioural cloning.

Not a divergence: for equal policies it is the teacher's own negative log-likelihood, not 0, and for densities it may be
negative.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from policy_distill.interfaces.students import Loss
from policy_distill.losses._shapes import parameters
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.scored import ScoredLoss
from policy_distill.seeds import purpose_seed


def nll(batch: Batch, outputs: Outputs) -> torch.Tensor:
    """Return -log q of the teacher's most likely action, `[B]`."""
    family, (taught, found) = outputs.family, parameters(batch, outputs)
    return -family.log_prob(found, family.mode(taught))


@dataclass(frozen=True)
class SampledNLL:
    """-log q of an action that the teacher samples; its mean is KL(teacher ‖ student) plus the teacher's entropy."""

    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    """Draws the actions."""

    def begin(self, seed: int) -> None:
        """Draw from a seed on: what is drawn after each rollout must not depend on whether the run was ever stopped."""
        self.generator.manual_seed(seed)

    def __call__(self, batch: Batch, outputs: Outputs) -> torch.Tensor:
        """Return `[B]`."""
        family, (taught, found) = outputs.family, parameters(batch, outputs)
        # Drawn where the generator is, so that a seed's draws are the same on every device.
        drawn = family.sample(taught.cpu(), self.generator).to(taught.device)
        return -family.log_prob(found, drawn)


def begin_draws(loss: Loss, seed: int) -> None:
    """Let a loss that draws do so from a seed on; others are as they are.

    Draws have nothing to do with which states a minibatch holds, though that follows from the same seed.
    """
    if isinstance(loss, ScoredLoss):
        begin_draws(loss.loss, seed)
    if isinstance(loss, SampledNLL):
        loss.begin(purpose_seed(seed, "loss"))
