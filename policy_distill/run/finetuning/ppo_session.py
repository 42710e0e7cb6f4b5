"""A fine-tuning by PPO between two rollouts: the student acts by sampling, and is improved by what that gains.

In: a student, whoever labels, environments and settings. Out: the stages that `run/course.py` puts in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy_distill.collection.rollout import Rollout
from policy_distill.evaluation.fidelity import measure_fidelity
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import Loss
from policy_distill.run.finetuning.experience import RECORDED, DrawingActor, experience_of
from policy_distill.run.finetuning.form import policy_to_train
from policy_distill.run.finetuning.ppo import PPOLearner
from policy_distill.run.finetuning.session import FinetuneSession
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.student.record import CriticRecord, StudentRecord
from policy_distill.system.nested import with_axis
from policy_distill.training.learners import while_learning
from policy_distill.training.schedule import Moment, seed_of


class PPOSession(FinetuneSession):
    """A stream of the student's own rollouts, and PPO that learns from the newest one."""

    def __init__(
        self,
        origin: StudentRecord,
        teacher: Teacher,
        envs: Environments,
        loss: Loss,
        config: FinetuneConfig,
        *,
        anchored: bool,
        critic: CriticRecord | None = None,
    ) -> None:
        """Begin at `origin`, with the critic that it brings; see `FinetuneSession`."""
        super().__init__(origin, teacher, envs, loss, config, anchored=anchored, critic=critic)
        self._log_std = self._first_log_std()
        self.create_student(self.stream.normalizer)

    def _first_log_std(self) -> np.ndarray:
        """Return log σ for a student without: the teacher's where it has one, `[A]`."""
        stream, family = self.stream, self.stream.teacher.family
        if not (family.has_log_std and self.anchored):
            return np.full(self.origin.plan.head.n_scores, self.config.log_std_init, np.float32)
        source = stream.envs
        masks = with_axis(source.action_masks()) if stream.masked else None
        starts = np.ones((1, source.n_envs), bool)
        params = stream.teacher.label(with_axis(stream.sight.taught(source.obs)), starts, None, masks).params
        return params[0, :, family.n_params // 2 :].mean(dim=0).cpu().numpy()

    def create_student(self, normalizer: Any, teacher_params: torch.Tensor | None = None) -> None:
        """Make who learns, at the student that the run begins with."""
        policy = policy_to_train(self.origin, self._log_std)
        self._ppo = PPOLearner(policy, self.loss, self.config, self.stream.envs.n_envs, self.standing, self.critic)
        self._learner = self._ppo

    @property
    def tuner(self) -> PPOLearner:
        """Who learns."""
        return self._ppo

    @property
    def changes(self) -> bool:
        """True once the student is another one than it came as: as long as only the critic learns, it is not."""
        return self.stream.env_steps > min(self.config.warm_up, self.config.timesteps - 1)

    def collect(self) -> Rollout:
        """Gather the next rollout, by sampling."""
        self._actor = DrawingActor(
            self._ppo.policy, self.stream.features_of, seed_of(self.config, self.iteration, "act")
        )
        return self.stream.collect(self._actor, 0.0, greedy=False, recorded=RECORDED)

    def learn(
        self, rollout: Rollout, teacher_params: torch.Tensor, values: torch.Tensor | None = None
    ) -> dict[str, float]:
        """Improve the student by a labelled rollout; return what was measured, on its states before that.

        What the teacher expects is of no use here: PPO has a critic of its own.
        """
        stream, config = self.stream, self.config
        with while_learning(), stream.watch.timed("train"):
            features = stream.features(rollout)
            fidelity = measure_fidelity(stream.teacher, self.learner, features, teacher_params)
            experience = experience_of(
                rollout, features, teacher_params, self._actor.drawn, stream.features_of, stream.envs.obs
            )
            before = min((stream.env_steps - len(features)) / config.timesteps, 1.0)
            moment = Moment(before, stream.progress, len(features), seed_of(config, self.iteration, "train"))
            self._ppo.take(experience)
            metrics = self._ppo.learn(stream.buffer, moment)
            self.iteration += 1
        return {**metrics, "train/kl": fidelity.kl, "train/agreement": fidelity.agreement}
