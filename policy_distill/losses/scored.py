"""A divergence with the term that makes it a gradient: what an action leads to, beside what was chosen.

In: labelled states, and of the newest rollout what its actions led to. Out: one value a row, whose mean is to fall.

Students that act gather their own states, so θ decides which states are seen. With J(θ) = E_{τ ~ q_θ}[Σ_t ℓ_t(θ)],

    ∇J = E_{τ ~ q_θ}[ Σ_t ∇ℓ_t  +  Σ_t ∇log q_θ(a_t | s_t) Σ_{i > t} ℓ_i ]

(Czarnecki et al. 2019, "Distilling Policy Distillation", arXiv 1902.02186: the form that all methods there share, of
a loss in each state, and a return that the score function is weighted with). On-policy distillation leaves the second
sum out, and its update need then be the gradient of nothing. Both are here: the first over all stored states, the
second over the newest rollout alone, since it is an expectation under the student as it is now.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.executed import executed_log_prob
from policy_distill.interfaces.students import ActionDistribution, Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.student.actions import ActionMap

CLIP = 0.2
"""How far a probability may move, as a share, before a step gains nothing by moving it on (Schulman et al. 2017)."""

COST, BEHAVED, ACTED, GATE = "cost", "behaved", "acted", "gate"
"""Columns of a batch: what an action led to beyond what was expected; its log-probability when it was chosen; the
action as it was executed; which states teach."""


@dataclass(frozen=True)
class ScoredLoss:
    """A loss, and behind its rows those of the newest rollout, where a batch has them.

    The second half of such a batch brings ρ A of its actions, with A the cost that followed less what was expected,
    and ρ = q_θ(a | s) / q_old(a | s): at θ_old its gradient is A ∇log q_θ, the score term; further on it is clipped as
    PPO's (Schulman et al. 2017, arXiv 1707.06347, eq. 7), since a rollout serves many steps.
    """

    loss: Loss
    """`[B]` of the first half, or of all rows."""
    action_map: ActionMap
    """From the student's actions to executed ones, which the rollout has."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What the loss itself reads."""
        found: tuple[str, ...] = getattr(self.loss, "columns", ())
        return found

    def __call__(self, batch: Batch, outputs: Outputs) -> torch.Tensor:
        """Return `[B]`, or `[2 B]` whose mean is the sum of both halves' means."""
        if COST not in batch.columns:
            return self._taught(batch, outputs)
        half = len(batch.features) // 2
        first, second = slice(None, half), slice(half, None)
        values = self._taught(batch.rows(first), Outputs(outputs.family, outputs.params[first]))
        new = batch.rows(second)
        cost = new.columns[COST]
        log_prob = executed_log_prob(outputs.family, self.action_map, outputs.params[second], new.columns[ACTED])
        # An action that has all but vanished would make a ratio that no float holds.
        ratio = (log_prob - new.columns[BEHAVED]).clamp(-20.0, 20.0).exp()
        scored = torch.maximum(ratio * cost, ratio.clamp(1 - CLIP, 1 + CLIP) * cost)
        return 2.0 * torch.cat([values, scored])

    def _taught(self, batch: Batch, outputs: Outputs) -> torch.Tensor:
        values = self.loss(batch, outputs)
        return values * batch.columns[GATE] if GATE in batch.columns else values


def knows_executed(family: ActionDistribution, action_map: ActionMap) -> bool:
    """Say whether the log-probability of an executed action is known: what bounds cut off is, of a Gaussian alone."""
    return family.has_density and (action_map.kind != "clip" or isinstance(family, DiagonalGaussian))
