"""Distillation with the reward in the loop: PPO's objective on the newest rollout, beside the divergence on all.

In: a teacher, environments and settings with a `reward_weight`. Out: a session that learns from both. The order is that
of kickstarting (Schmitt et al. 2018, arXiv 1803.03835); the divergence has no importance factor, as it has in proximal
policy distillation (Spigler 2024), where it adds variance alone.

Each rollout that the student sampled is first learnt from as it is: PPO's steps, on the weights that acted, with the
divergence in these states beside the clipped objective. Then the divergence on all labelled states follows, as in every
distillation, with as many steps as its weight leaves: all where it counts for as much as the reward or more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from policy_distill.collection.rollout import Rollout
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Actor, Teacher
from policy_distill.run.critics.objective import Labelled
from policy_distill.run.finetuning.experience import RECORDED, DrawingActor, experience_of
from policy_distill.run.finetuning.ppo import PPOLearner
from policy_distill.run.finetuning.rewarded_learner import RewardedLearner
from policy_distill.run.finetuning.settings import CRITIC_STEPS, DISCOUNT, FinetuneConfig, check_schedule, kl_weight
from policy_distill.run.finetuning.standing import Standing
from policy_distill.run.judging.selection import N_CANDIDATES
from policy_distill.run.session import Session
from policy_distill.student.features import Normalizer
from policy_distill.training.learner import GradientLearner
from policy_distill.training.schedule import Moment, seed_of

NETWORKS = ("mlp", "linear", "cnn")
"""Students that PPO improves."""


class RewardedSession(Session):
    """A stream whose rollouts teach by their labels, and by their rewards where the student sampled them."""

    anchored = True
    """There is a teacher other than the student itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.standing = Standing()
        """Where the student stands, as it was judged last."""
        self._actor: DrawingActor | None = None
        """Who sampled the newest rollout; None where that was not the student."""
        self._newest: Labelled | None = None

    @property
    def tuner(self) -> RewardedLearner:
        """Who learns."""
        found: Any = self.learner
        return found

    @property
    def changes(self) -> bool:
        """True: the divergence changes the student from the first rollout on."""
        return True

    def actor(self, ahead: int = 0) -> tuple[Actor, float]:
        """Return who acts next: the teacher first, then the student, by sampling."""
        self._actor = None
        if self.teacher_share() > 0.0:
            return super().actor()
        seed = seed_of(self.config, self.iteration, "act")
        self._actor = DrawingActor(self.tuner.policy, self.stream.features_of, seed)
        return self._actor, 0.0

    def collect(self) -> Rollout:
        """Gather the next rollout, with what it gained."""
        actor, share = self.actor()
        return self.stream.collect(actor, share, greedy=False, recorded=RECORDED)

    def _judge(self, seen: Labelled, moment: Moment) -> dict[str, float]:
        self._newest = seen
        return super()._judge(seen, moment)

    def _train(self, moment: Moment, values: torch.Tensor | None) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if self._actor is not None and self._newest is not None:
            new, stream, drawn = self._newest, self.stream, self._actor.drawn
            seen = experience_of(
                new.rollout, new.features, new.teacher_params, drawn, stream.features_of, stream.envs.obs
            )
            metrics = self.tuner.learn_by_reward(seen, self.stream.buffer, moment)
        config = self.tuner.tuning
        share = kl_weight(config, moment.before, self.standing.share_kept) / max(config.kl_weight, 1.0)
        n_new = round(moment.n_new * (1.0 if self._actor is None else share))
        # What both measure of their steps is said of the divergence's, which are the most; PPO's stay beside.
        return metrics | (super()._train(replace(moment, n_new=n_new), values) if n_new else {})

    def create_student(
        self, normalizer: Normalizer | dict[str, Normalizer] | None, teacher_params: torch.Tensor | None = None
    ) -> None:
        """Make the student and who learns; see `Session.create_student`."""
        super().create_student(normalizer, teacher_params)
        inner, tuning = self.learner, tuning_of(self.config, self.stream.teacher)
        assert isinstance(inner, GradientLearner), "checked before the run"
        ppo = PPOLearner(inner.policy, self.loss, tuning, self.stream.envs.n_envs, self.standing)
        self._learner = RewardedLearner(inner, ppo, tuning)


def tuning_of(config: DistillConfig, teacher: Teacher) -> FinetuneConfig:
    """Return PPO's settings in a distillation: its objective has the weight 1, the divergence 1 over the reward's."""
    return FinetuneConfig(
        timesteps=config.timesteps,
        seed=config.seed,
        n_envs=config.n_envs,
        n_steps=config.n_steps,
        max_recoveries=config.max_recoveries,
        device=config.device,
        gamma=teacher.discount or DISCOUNT,
        critic_steps=min(CRITIC_STEPS, config.timesteps // 5),
        kl_weight=1.0 / config.reward_weight,
        kl_schedule=config.kl_schedule,
    )


def check_rewarded(teacher: Teacher, student: str, config: DistillConfig) -> DistillConfig:
    """Return the settings of a run, once it is known that its student can learn from reward where that is asked for.

    Raises:
        RequestError: for a student that PPO cannot improve, and settings under which no rollout is its own.
    """
    if config.reward_weight == 0.0:
        return config
    if student.partition(":")[0] not in NETWORKS:
        raise RequestError(
            f"expected an mlp, linear or cnn student for --reward-weight, found {student!r}; distil it without, then "
            "run finetune --method es"
        )
    if not teacher.family.has_density:
        raise RequestError(
            "expected a teacher with a distribution for --reward-weight, which its student needs to sample, found "
            f"one that only gives actions ({teacher.family.name}); distil it without, then run finetune --method es"
        )
    if config.actor != "student" or config.acting == "mode":
        found = f"--actor {config.actor}" if config.actor != "student" else "--acting mode"
        raise RequestError(f"--reward-weight learns from what the student itself samples, found {found}; leave it out")
    if config.objective != "kl" or config.value_gate:
        found = "--value-gate" if config.value_gate else f"--objective {config.objective}"
        raise RequestError(f"expected --reward-weight or {found}, found both; leave one out")
    check_schedule(config, N_CANDIDATES)
    return replace(config, acting="sample")
