"""What Stable-Baselines3's PPO improves: a student as it is, and a critic beside it that no file keeps.

In: features of observations, and the teacher's labels. Out: values, log-probabilities, and what is added to the
objective of each state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import nn

from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.networks.mlp import MLP
from policy_distill.student.engines.torch_module import modules_of
from policy_distill.student.head import MASKED, Head
from policy_distill.student.record import CriticRecord
from policy_distill.training.learner import named
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec

VALUE_WIDTHS = (64, 64)
"""Hidden layers of a critic of vectors."""

FEATURES, TEACHER, MASKS = "features", "teacher", "masks"
"""What a state is made of, for PPO."""


class Critic(nn.Module):
    """The discounted sum of normalised rewards that a student's features promise."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, spec: StudentSpec, generator: torch.Generator, record: CriticRecord | None = None) -> None:
        """Begin with one that came with the student, or an untrained one.

        That has the student's own layers for images, and two of 64 units for vectors.
        """
        super().__init__()
        shape = spec.featurizer.shape
        self.of_vectors = len(shape) == 1 and not spec.featurizer.images
        self._came = record is not None
        if record is not None:
            self.network = nn.Sequential(*modules_of(record.metadata["layers"], record.tensors))
        else:
            body = MLP(VALUE_WIDTHS, "tanh") if self.of_vectors else spec.body
            self.network = body.build(shape, 1, generator)
        size = shape[0] if self.of_vectors else 0
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def look_at(self, features: torch.Tensor) -> None:
        """Standardise by features `[B, D]` of a first rollout: a student's own may have any size.

        One that came with the student knows them already.
        """
        if self.of_vectors and not self._came:
            deviation = features.std(dim=0)
            self.mean.copy_(features.mean(dim=0))
            self.scale.copy_(torch.where(deviation > 1e-6, 1.0 / deviation.clamp(min=1e-6), torch.zeros(())))

    @torch.no_grad()
    def count_in(self, unit: float) -> None:
        """Let one that came with the student, whose values are of raw rewards, give them in units of so many."""
        if self._came:
            last = self.network[-1]
            assert isinstance(last, nn.Linear), "a critic ends so"
            last.weight.div_(unit)
            last.bias.div_(unit)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `[B]` values."""
        if self.of_vectors:
            features = ((features - self.mean) * self.scale).clamp(-10.0, 10.0)
        return self.network(features).squeeze(-1)


class ActorCritic(BasePolicy):
    """A student and its critic, with the members of an SB3 policy that PPO's update asks for."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Any,
        use_sde: bool = False,
        *,
        student: StudentPolicy,
        critic: Critic,
        loss: Loss,
        ent_coef: float,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.student = student
        self.critic = critic
        self.loss = loss
        self.ent_coef = ent_coef
        self.kl_weight = 0.0
        """Weight of the divergence from the teacher, as it is now."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what the optimiser knows of earlier steps."""
        self.optimizer = torch.optim.Adam(self.parameters(), lr=0.0, eps=1e-5)

    def params(self, obs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the student's distribution parameters `[B, P]`, of what is allowed."""
        params = self.student.params(obs[FEATURES])
        return rule_out(params, obs[MASKS], self.student.spec.head) if MASKS in obs else params

    def evaluate_actions(
        self, obs: dict[str, torch.Tensor], actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return values, log-probabilities of `actions`, and the bonus of each state, `[B]` each.

        The bonus stands where SB3 has the entropy: the entropy at its weight, less the divergence from the teacher at
        its own, so that PPO's objective is that of kickstarting (Schmitt et al. 2018, arXiv 1803.03835).
        """
        family, params = self.student.spec.family, self.params(obs)
        drawn = actions.long() if family.head.is_discrete else actions
        bonus = self.ent_coef * family.entropy(params)
        if self.kl_weight > 0.0:
            batch = Batch(obs[FEATURES], obs[TEACHER], {})
            bonus = bonus - self.kl_weight * self.loss(batch, Outputs(family, params))
        return self.critic(obs[FEATURES]), family.log_prob(params, drawn), bonus

    def training_state(self) -> dict[str, np.ndarray]:
        """Return the critic, and what the optimiser knows of earlier steps."""
        found = {f"critic.{name}": value for name, value in self.critic.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            found |= {f"adam.{index}.{name}": value for name, value in moments.items()}
        return {name: value.detach().cpu().numpy().copy() for name, value in found.items()}

    def restore_training(self, tensors: dict[str, np.ndarray]) -> None:
        """Take what `training_state` returned, among other arrays.

        Raises:
            ValueError, RuntimeError, KeyError: where that is of another network.
        """
        own = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
        self.critic.load_state_dict(named(own, "critic."))
        self.begin_anew()
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in named(own, "adam.").items():
            index, _, kind = name.partition(".")
            moments.setdefault(int(index), {})[kind] = value
        parameters = list(self.parameters())
        if any(part["exp_avg"].shape != parameters[index].shape for index, part in moments.items()):
            raise ValueError("moments of another network")
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})

    def _predict(self, observation: Any, deterministic: bool = False) -> torch.Tensor:
        raise NotImplementedError("a student acts by itself")


def rule_out(params: torch.Tensor, masks: torch.Tensor, head: Head) -> torch.Tensor:
    """Return parameters `[B, P]` without the options that `masks` `[B, n_scores]` forbid; torch's `Head.rule_out`."""
    allowed = masks.bool()
    scores = params[:, : head.n_scores].masked_fill(~allowed, float(MASKED))
    return torch.cat([scores, params[:, head.n_scores :]], dim=1)


def spaces_of(student: StudentPolicy) -> tuple[spaces.Dict, spaces.Space[Any]]:
    """Return the spaces of states and actions, as PPO sees them: actions are the family's, before they are executed."""
    head, family = student.spec.family.head, student.spec.family
    boxes: dict[str, spaces.Space[Any]] = {
        FEATURES: spaces.Box(-float("inf"), float("inf"), student.featurizer.shape),
        TEACHER: spaces.Box(-float("inf"), float("inf"), (family.n_params,)),
    }
    if student.spec.takes_action_masks:
        boxes[MASKS] = spaces.Box(0.0, 1.0, (head.n_scores,))
    if head.kind == "argmax":
        one = len(head.sizes) == 1
        return spaces.Dict(boxes), spaces.Discrete(head.sizes[0]) if one else spaces.MultiDiscrete(list(head.sizes))
    if head.is_discrete:
        return spaces.Dict(boxes), spaces.MultiDiscrete([2] * head.n_scores)
    return spaces.Dict(boxes), spaces.Box(-float("inf"), float("inf"), (head.n_scores,))
