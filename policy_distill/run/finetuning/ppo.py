"""Improves a student by reward: Stable-Baselines3's PPO on the student itself, with a critic beside it.

In: rollouts that the student acted, one after another. Out: a better student. First only the critic learns: with values
of an untrained one, the first steps of PPO would undo what the student can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from policy_distill.errors import RunFault
from policy_distill.interfaces.students import Loss
from policy_distill.run.finetuning.actor_critic import ActorCritic, Critic
from policy_distill.run.finetuning.experience import Experience
from policy_distill.run.finetuning.ppo_model import MEASURED, buffer_of, make_ppo
from policy_distill.run.finetuning.reward_scale import RewardScale
from policy_distill.run.finetuning.settings import FinetuneConfig, kl_weight
from policy_distill.run.finetuning.standing import Standing
from policy_distill.student.record import CriticRecord
from policy_distill.student.runtime import Student
from policy_distill.system.generators import LentGenerators
from policy_distill.training.buffer import Buffer
from policy_distill.training.frozen import freeze_layers
from policy_distill.training.learner import Weights, forms_of, named
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.recovery import Divergence, Recovery
from policy_distill.training.schedule import Moment

STEP_BACK = 0.5
"""What the learning rate is multiplied by when the student goes back to an earlier one."""


class PPOLearner:
    """A student, its critic, and all that PPO's next update depends on."""

    def __init__(
        self,
        policy: StudentPolicy,
        loss: Loss,
        config: FinetuneConfig,
        n_envs: int,
        standing: Standing | None = None,
        critic: CriticRecord | None = None,
    ) -> None:
        """Go on from a trainable student, which is changed, and from its critic where it brings one.

        `loss` is its divergence from a teacher; how much that counts depends on where the student stands.
        """
        self.policy, self.config = policy.to(config.device), config
        self.standing = standing or Standing()
        self._frozen = freeze_layers(policy, config.freeze)
        own = Critic(policy.spec, torch.Generator().manual_seed(config.seed), critic).to(config.device)
        self._model = make_ppo(policy, own, loss, config, n_envs)
        self._model.lr_schedule = lambda _: self._rate
        self._rate = 0.0
        self._rewards = RewardScale(n_envs, config.discount)
        self._recovery = Recovery(config.max_recoveries)
        self._n_seen = 0
        """States learnt from."""
        self._newest: Experience | None = None
        self.n_setbacks = 0
        """How often the student went back to an earlier one, since it got worse."""

    @property
    def _actor_critic(self) -> ActorCritic:
        found: Any = self._model.policy
        return found

    @property
    def n_recoveries(self) -> int:
        """How often an update was done again at a lower rate, since it was not finite."""
        return self._recovery.n

    @n_recoveries.setter
    def n_recoveries(self, n: int) -> None:
        """Set the count, as of a checkpoint."""
        self._recovery.n = n

    def take(self, experience: Experience) -> None:
        """Take up the rollout that `learn` learns from."""
        self._newest = experience

    def learn(self, buffer: Buffer, moment: Moment) -> dict[str, float]:
        """Learn from the rollout that was taken up, of `moment`, and from no older one; return what was measured.

        Raises:
            RunFault: for rewards that are not finite, and an update that is not after `max_recoveries` tries.
        """
        experience, actor_critic, config = self._newest, self._actor_critic, self.config
        assert experience is not None, "a rollout comes before its update"
        rewards = experience.rewards
        if not np.isfinite(rewards).all():
            raise RunFault("the environment gave a reward that is not finite; fix it, or wrap it")
        if config.normalize_rewards:
            rewards = self._rewards.normalized(rewards, experience.episode_starts)
        if self._n_seen == 0:
            actor_critic.critic.look_at(experience.features.to(config.device))
            actor_critic.critic.count_in(self._rewards.unit if config.normalize_rewards else 1.0)
        warming_up = self._n_seen < config.warm_up
        for name, weight in self.policy.named_parameters():
            weight.requires_grad_(not warming_up and name not in self._frozen)
        actor_critic.kl_weight = 0.0 if warming_up else kl_weight(config, moment.before, self.standing.share_kept)
        rate = config.learning_rate * (1.0 - moment.before) * STEP_BACK**self.n_setbacks
        self._n_seen += len(experience.features)

        def update(scale: float) -> dict[str, float]:
            self._rate = rate * scale
            self._model.rollout_buffer = buffer_of(experience, rewards, self._model, actor_critic)
            # SB3 shuffles by NumPy's global generator.
            with LentGenerators(moment.seed):
                self._model.train()
            return self._measured()

        measured = self._recovery.attempt(self, update)
        for weight in self.policy.parameters():
            # Whoever else trains it asks for all of them.
            weight.requires_grad_(True)
        setbacks = {"train/setbacks": float(self.n_setbacks)} if self.n_setbacks else {}
        now = {"train/kl_weight": actor_critic.kl_weight, "train/learning_rate": self._rate}
        return {**measured, **now, **setbacks}

    def _measured(self) -> dict[str, float]:
        told = self._model.logger.name_to_value
        found = {ours: float(told[theirs]) for ours, theirs in MEASURED.items()}
        told.clear()
        finite = all(bool(value.isfinite().all()) for value in self._actor_critic.parameters())
        if not (finite and math.isfinite(found["train/loss"])):
            raise Divergence(
                "the loss or its gradient is not finite: the student diverged; lower --learning-rate "
                f"(now {self.config.learning_rate}) or check the rewards of the environment"
            )
        # Of returns that are all alike no share can be explained.
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def go_back(self, weights: Weights) -> None:
        """Give the student earlier weights, and go on from them by smaller steps; the critic stays as it is."""
        self.set_weights(weights)
        self._actor_critic.begin_anew()
        self.n_setbacks += 1

    @torch.no_grad()
    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return the student's distribution parameters `[B, P]` for features `[B, D]`, on the CPU."""
        return self.policy.params(features.to(self.config.device)).cpu()

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the student that acts, as it is now."""
        return Student.of(self.policy.to_record(provenance or {}, retention))

    def weights(self) -> Weights:
        """Return a copy of the student's weights."""
        return {name: value.detach().clone() for name, value in self.policy.state_dict().items()}

    def set_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Give the student other weights.

        Raises:
            ValueError: where they are of another network.
        """
        if forms_of(weights) != forms_of(self.policy.state_dict()):
            raise ValueError("weights of another network")
        self.policy.load_state_dict(weights)

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients of the last update, by the names of the weights."""
        found = self.policy.named_parameters()
        return {f"gradients/{name}": value.grad.cpu().numpy() for name, value in found if value.grad is not None}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next update depends on, but for the count of its recoveries."""
        return {
            **{f"student.{name}": array for name, array in self.policy.tensors().items()},
            **{f"training.{name}": array for name, array in self._actor_critic.training_state().items()},
            **{f"training.rewards.{name}": array for name, array in self._rewards.state().items()},
            "training.counts": np.array([self._n_seen, self.n_setbacks], np.float64),
            "training.standing": self.standing.state(),
        }

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, RuntimeError, KeyError: where that is of another student.
        """
        counts = tensors["training.counts"]
        if counts.shape != (2,) or not np.isfinite(counts).all():
            raise ValueError("counts of another run")
        self.policy.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in named(tensors, "student.").items()}
        )
        self._actor_critic.restore_training(named(tensors, "training."))
        self._rewards.restore(named(tensors, "training.rewards."))
        self._n_seen, self.n_setbacks = int(counts[0]), int(counts[1])
        self.standing.restore(tensors["training.standing"])
