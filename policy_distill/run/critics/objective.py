"""What a distillation minimises, where that is more than a divergence in the states that were seen.

In: a labelled rollout of the student's own actions. Out: what each action cost beyond what was to be expected, for the
score term of `losses/scored.py`; R below is what that term is weighted with (Czarnecki et al. 2019, arXiv 1902.02186).

    kl                  no score term: the paper's on-policy distillation
    n_distill           ℓ = D(teacher ‖ student), R_t = Σ_{i>t} ℓ_i: the gradient of E_{τ~q_θ}[Σ_t ℓ_t]
    reverse_trajectory  ℓ = KL(student ‖ teacher), R_t = Σ_{i>t} ℓ_i: the gradient of KL(q_θ(τ) ‖ π(τ)), of whole
                        trajectories, in which the environment's own probabilities cancel; each step in closed form, as
                        the paper's expected entropy regularised distillation
    teacher_value       R_t = -Σ_{i>=t} (r_i + γ V(s_{i+1}) - V(s_i)), V the teacher's: the sum telescopes, so that this
                        is the gradient of the negative return, with V(s_t) as its baseline (Ng et al. 1999: shaping by
                        a potential changes no optimum)

Sums are discounted, and traced as `advantages` has it. The first two have a critic of what is still to come as their
baseline; it is asked before it learns of the rollout, else it would know the actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from policy_distill.collection.rollout import Rollout
from policy_distill.config import DistillConfig
from policy_distill.families.executed import executed_log_prob
from policy_distill.interfaces.stages import Learner
from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.scored import ACTED, BEHAVED, COST
from policy_distill.run.columns import values_of
from policy_distill.run.critics.advantages import advantages, follows
from policy_distill.run.critics.critic import ValueCritic
from policy_distill.run.critics.rows import StateRows
from policy_distill.run.critics.scale import RunningScale
from policy_distill.training.learner import named
from policy_distill.training.schedule import Moment
from policy_distill.training.spec import StudentSpec

DISCOUNT = 0.99
"""Of divergences to come, for each step."""
TRACE = 0.95
"""λ of advantages: 1 trusts what happened alone, 0 the value of the next state alone."""
Known = tuple[np.ndarray, np.ndarray]
"""A number for each step, `[T, N]`, and where it is known."""
OF_DIVERGENCES = ("n_distill", "reverse_trajectory")


@dataclass(frozen=True)
class Labelled:
    """A rollout with all that is known of it before anybody learns from it."""

    rollout: Rollout
    features: torch.Tensor
    """`[T * N, D]`."""
    teacher_params: torch.Tensor
    """`[T * N, P]`."""
    values: torch.Tensor | None
    """The teacher's, `[T * N]`, where they were asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """Steps and environments."""
        n_steps, n_envs = self.rollout.episode_starts.shape
        return n_steps, n_envs


class Score:
    """Makes the rows of the score term, rollout by rollout."""

    def __init__(self, spec: StudentSpec, loss: Loss, config: DistillConfig, discount: float | None) -> None:
        """Take what the student is, its divergence `[B]`, and the discount of the teacher's values where known."""
        self._spec, self._loss, self._discount, self._device = spec, loss, discount, config.device
        self.baseline = ValueCritic(spec, config, "baseline") if config.objective in OF_DIVERGENCES else None
        """Of divergences to come."""
        self.scale = RunningScale()
        """Of advantages in units of reward: they count in units of their deviation, since points are no nats."""

    def rows(self, seen: Labelled, learner: Learner, moment: Moment) -> tuple[StateRows | None, dict[str, float]]:
        """Return the rows of a rollout that the student sampled, and what was measured.

        The first such rollout shows the baseline what to expect, and has none.
        """
        params = learner.params(seen.features)
        if self.baseline is None:
            found: Known | None = self._of_values(seen)
        else:
            found = self._of_divergences(seen, params, self.baseline, moment)
        if found is None:
            return None, {}
        cost, known = found
        at = torch.from_numpy(np.flatnonzero(known))
        if not len(at):
            return None, {}
        costs = torch.from_numpy(cost.ravel()).float()[at]
        acted = values_of(["actions"], seen.rollout)["actions"]
        behaved = executed_log_prob(self._spec.family, self._spec.action_map, params, acted)[at]
        columns = {COST: costs, BEHAVED: behaved, ACTED: acted[at]}
        rows = StateRows(
            seen.features[at].to(self._device),
            seen.teacher_params[at].to(self._device),
            {name: column.to(self._device) for name, column in columns.items()},
        )
        return rows, {"train/score_deviation": float(costs.std(unbiased=False))}

    def _of_divergences(
        self, seen: Labelled, params: torch.Tensor, baseline: ValueCritic, moment: Moment
    ) -> Known | None:
        """Return R_t less its expectation, `[T, N]`, and where it is known."""
        divergences = self._divergences(seen, params).reshape(seen.shape)
        starts, terminated = seen.rollout.episode_starts, seen.rollout.columns["terminated"]
        expected = baseline.values(seen.features).double().numpy().reshape(seen.shape)
        cost, known = advantages(
            to_come(divergences, starts, terminated), expected, starts, terminated, DISCOUNT, TRACE
        )
        begun, at = baseline.begun, torch.from_numpy(np.flatnonzero(known))
        if len(at):
            targets = torch.from_numpy((cost + expected).ravel()).float()[at]
            source = StateRows(seen.features[at].to(self._device), targets[:, None].to(self._device))
            baseline.learn(source, targets, moment)
        return (cost, known) if begun else None

    def _of_values(self, seen: Labelled) -> Known:
        """Return -A_t by the teacher's values, in units of its deviation over the run, `[T, N]`."""
        assert seen.values is not None and self._discount is not None, "the run has checked that there are values"
        starts, columns = seen.rollout.episode_starts, seen.rollout.columns
        values = seen.values.double().numpy().reshape(seen.shape)
        gain, known = advantages(columns["rewards"], values, starts, columns["terminated"], self._discount, TRACE)
        self.scale.add(gain[known])
        return -gain / self.scale.deviation, known

    @torch.no_grad()
    def _divergences(self, seen: Labelled, params: torch.Tensor) -> np.ndarray:
        columns = values_of(getattr(self._loss, "columns", ()), seen.rollout)
        batch = Batch(seen.features, seen.teacher_params.to(params.device), columns)
        return self._loss(batch, Outputs(self._spec.family, params)).double().numpy()

    def state(self) -> dict[str, np.ndarray]:
        """Return all that its next rows depend on."""
        found = {} if self.baseline is None else {f"baseline.{k}": v for k, v in self.baseline.state().items()}
        return {**found, "scale": self.scale.state()}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, RuntimeError, KeyError: where that is of another run.
        """
        self.scale = RunningScale.of(tensors["scale"])
        if self.baseline is not None:
            self.baseline.restore(named(tensors, "baseline."))


def to_come(divergences: np.ndarray, episode_starts: np.ndarray, terminated: np.ndarray) -> np.ndarray:
    """Return what a step is charged with at once, `[T, N]`: the discounted divergence of the state that it led to.

    Not of the one that it began in, which the action did not choose.
    """
    goes_on, _ = follows(episode_starts, terminated)
    charged = np.zeros_like(divergences)
    charged[:-1] = np.where(goes_on[:-1], DISCOUNT * divergences[1:], 0.0)
    return charged
