"""A distillation between two rollouts: a stream of labelled states, and the student that learns from it.

In: teacher, environments and settings. Out: the stages that `distill.py` puts in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy_distill.collection.actors import MixedActor, TakesOver, TeacherActor
from policy_distill.collection.rollout import Rollout
from policy_distill.collection.state_sample import sample_states
from policy_distill.config import DistillConfig
from policy_distill.evaluation.fidelity import Fidelity, fidelity_along, fidelity_of, measure_fidelity
from policy_distill.interfaces.policies import Actor, Teacher
from policy_distill.interfaces.stages import Learner
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import Loss
from policy_distill.losses.scored import ScoredLoss
from policy_distill.run.columns import asked_for
from policy_distill.run.critics.critics import Critics, columns_for
from policy_distill.run.critics.objective import Labelled
from policy_distill.run.stream import Stream
from policy_distill.student.check import check_writable
from policy_distill.student.features import Normalizer
from policy_distill.student.runtime import Student
from policy_distill.training.learner import GradientLearner
from policy_distill.training.learners import find_learner
from policy_distill.training.schedule import Moment, acts_by_mode, seed_of
from policy_distill.training.spec import StudentSpec

MEASURED_STATES = 4_000
"""States on which the fidelity at the end is measured, at most; a tenth of a short run."""


class Session:
    """A stream and one learner: the student acts in the stream, and learns from it."""

    def __init__(self, teacher: Teacher, envs: Environments, network: str, loss: Loss, config: DistillConfig) -> None:
        kept, noted = columns_for(config)
        self.stream = Stream(
            teacher,
            envs,
            config,
            network,
            columns=tuple(dict.fromkeys((*asked_for(loss, [network]), *kept))),
            noted=noted,
        )
        self.network = network
        self.loss = loss
        self.config = config
        self.iteration = 0
        """Rollouts learnt from."""
        self._learner: Learner | None = None
        self._critics: Critics | None = None

    @property
    def learner(self) -> Learner:
        """Who learns."""
        assert self._learner is not None, "the first rollout makes the student"
        return self._learner

    @property
    def critics(self) -> Critics:
        """Who judges states beside it."""
        assert self._critics is not None, "they are made with the student"
        return self._critics

    @property
    def has_student(self) -> bool:
        """True once the first rollout made one."""
        return self._learner is not None

    def actor(self) -> tuple[Actor, float]:
        """Return who acts next, and the teacher's share: the teacher first, then as `config.actor` says."""
        seed, stream = seed_of(self.config, self.iteration, "act"), self.stream
        teacher = stream.sight.teacher(TeacherActor(stream.teacher, seed))
        if not self.has_student or self.config.actor == "teacher":
            return teacher, 1.0
        made = self.student()
        made.seed(seed)
        student = stream.sight.student(made)
        if self.config.actor == "student":
            # Its first rollout goes on where the teacher's ended.
            return (TakesOver(student) if self.iteration == 1 and made.plan.memory.size else student), 0.0
        share = 1.0 - stream.progress
        rng = np.random.default_rng(seed_of(self.config, self.iteration, "mix"))
        return MixedActor(teacher, student, share, rng), share

    def collect(self) -> Rollout:
        """Gather the next rollout."""
        actor, share = self.actor()
        return self.stream.collect(actor, share, greedy=acts_by_mode(self.config, self.iteration, share))

    def learn(
        self, rollout: Rollout, teacher_params: torch.Tensor, values: torch.Tensor | None = None
    ) -> dict[str, float]:
        """Store a labelled rollout and train; return what was measured, on its states before training on them.

        `values` are the teacher's, `[T * N]`, where the settings ask for them.
        """
        with self.stream.watch.timed("train"):
            features = self.stream.features(rollout)
            if not self.has_student:
                self.create_student(self.stream.normalizer, teacher_params)
            fidelity = self._fidelity(rollout, features, teacher_params)
            before = min((self.stream.env_steps - len(features)) / self.config.timesteps, 1.0)
            moment = Moment(before, self.stream.progress, len(features), seed_of(self.config, self.iteration, "train"))
            metrics = self._judge(Labelled(rollout, features, teacher_params, values), moment)
            self.stream.store(rollout, features, teacher_params, values)
            metrics |= self._train(moment)
            metrics |= self.critics.learn(self.stream.buffer, values, moment)
            self.iteration += 1
        return {**metrics, "train/kl": fidelity.kl, "train/agreement": fidelity.agreement}

    def _judge(self, seen: Labelled, moment: Moment) -> dict[str, float]:
        """Show the critics a rollout before anybody learns from it."""
        share = seen.rollout.teacher_share
        sampled = not acts_by_mode(self.config, self.iteration, share)
        return self.critics.look(seen, self.learner, moment, by_student=share == 0.0, sampled=sampled)

    def _train(self, moment: Moment) -> dict[str, float]:
        drawn = self.critics.drawn(self.stream.buffer)
        if drawn is None:
            return self.learner.learn(self.stream.buffer, moment)
        assert isinstance(self.learner, GradientLearner), "checked before the run"
        return self.learner.learn(drawn, moment)

    def _fidelity(self, rollout: Rollout, features: torch.Tensor, teacher_params: torch.Tensor) -> Fidelity:
        teacher, student = self.stream.teacher, self.learner.student()
        if student.plan.memory.size:
            return fidelity_along(
                teacher, student, self.stream.sight.seen(rollout.obs), rollout.episode_starts, teacher_params
            )
        return measure_fidelity(teacher, self.learner, features, teacher_params)

    def progress_metrics(self, rollout: Rollout) -> dict[str, float]:
        """Return what an iteration adds to the training's own metrics: returns, shares and times."""
        return {**self.stream.metrics(), "rollout/teacher_share": rollout.teacher_share}

    def specify(self, normalizer: Normalizer | dict[str, Normalizer] | None) -> StudentSpec:
        """Return what the student is, apart from its weights."""
        stream, config = self.stream, self.config
        return StudentSpec.like(
            stream.teacher, self.network, config.activation, normalizer, stream.sight.space, stream.sight.view
        )

    def create_student(
        self, normalizer: Normalizer | dict[str, Normalizer] | None, teacher_params: torch.Tensor | None = None
    ) -> None:
        """Make the student and who learns; log σ starts at that of the labels `[B, P]`."""
        spec = self.specify(normalizer)
        corrected = self.config.objective != "kl" or self.config.value_gate
        loss = ScoredLoss(self.loss, spec.action_map) if corrected else self.loss
        learner = find_learner(self.network)(spec, loss, self.config, teacher_params)
        # Before hours of training: what no file can hold is of no use in the end.
        check_writable(learner.student())
        self._learner = learner
        self._critics = Critics(spec, self.loss, self.config, self.stream.teacher.discount)

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the NumPy student with the weights as they are now."""
        made = self.learner.student(provenance, retention)
        made.critic = self.critics.record()
        return made

    def measure(self) -> Fidelity:
        """Let the student act in fresh whole episodes and compare it with the teacher there; they train nobody."""
        n_states = min(MEASURED_STATES, max(1_000, self.config.timesteps // 10))
        stream = self.stream
        with stream.watch.timed("evaluate"):
            student, sight = self.student(), stream.sight
            options: dict[str, Any] = {"masked": stream.masked, "teacher": sight.labeller(stream.teacher)}
            options |= {"followed": student, "seen": sight.seen}
            sample = sample_states(stream.envs, self.config.seed, sight.student(student), n_states, **options)
            if sample.outputs is not None:
                return fidelity_of(stream.teacher, student, sample.outputs, sample.params)
            return measure_fidelity(stream.teacher, self.learner, stream.features_of(sample.obs), sample.params)
