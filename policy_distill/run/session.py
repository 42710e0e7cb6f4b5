"""A distillation between two rollouts: a stream of labelled states, and the student that learns from it.

In: teacher, environments and settings. Out: the stages that `distill.py` puts in order.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from policy_distill.collection.acting import Acting
from policy_distill.collection.actors import MixedActor, TakesOver, TeacherActor
from policy_distill.collection.rollout import Rollout
from policy_distill.config import DistillConfig
from policy_distill.evaluation.fidelity import Fidelity, fidelity_along, measure_fidelity
from policy_distill.evaluation.parts.tuning_record import TransferRecord
from policy_distill.interfaces.policies import Actor, Teacher
from policy_distill.interfaces.stages import Learner
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch
from policy_distill.losses.scored import ScoredLoss
from policy_distill.run.columns import asked_for
from policy_distill.run.critics.critics import Critics, columns_for
from policy_distill.run.critics.objective import Labelled
from policy_distill.run.critics.request import asks_for
from policy_distill.run.stream import Stream
from policy_distill.student.check import check_writable
from policy_distill.student.features import Normalizer
from policy_distill.teachers.activation import activation_for
from policy_distill.training.effort import Effort, Objective, learn_measured, n_held
from policy_distill.training.learner import GradientLearner
from policy_distill.training.learners import find_learner, while_learning
from policy_distill.training.schedule import Moment, acts_by_mode, lags, seed_of
from policy_distill.training.spec import StudentSpec
from policy_distill.training.teacher_episodes import HALF


class Session:
    """A stream and one learner: the student acts in the stream, and learns from it."""

    def __init__(self, teacher: Teacher, envs: Environments, network: str, loss: Loss, config: DistillConfig) -> None:
        kept, noted = columns_for(config)
        columns = tuple(dict.fromkeys((*asked_for(loss, [network]), *kept)))
        self.stream = Stream(teacher, envs, config, network, columns=columns, noted=noted)
        self.network = network
        self.loss = loss
        self.config = config
        self.iteration = 0
        """Rollouts learnt from."""
        self._looked_at = 0
        self._learner: Learner | None = None
        self.critics: Critics | None = None
        """Who judges states beside the student, where the settings ask for it, once there is one."""
        self.acting: Acting | None = None
        """Who acts next; None where that is the newest student."""
        self._remembers = False
        """True of a student with a memory."""
        self.fresh: list[float] = []
        """Nats from its teacher on each rollout before it learnt of that, or the share of actions that differed."""
        self.transferred: TransferRecord | None = None
        """What of a student of another task it begins with; None where it begins with none."""
        self.effort = Effort()
        """Gradient steps of the next rollout, where the settings leave them open."""

    @property
    def learner(self) -> Learner:
        """Who learns."""
        assert self._learner is not None, "the first rollout makes the student"
        return self._learner

    @property
    def corrected(self) -> bool:
        """True where more than a divergence decides; a critic of the teacher's values alone changes no student."""
        return self.config.objective != "kl" or self.config.value_gate

    @property
    def has_student(self) -> bool:
        """True once the first rollout made one."""
        return self._learner is not None

    def actor(self, ahead: int = 0) -> tuple[Actor, float]:
        """Return who acts next, or `ahead` of that, and the teacher's share: it first, then as `config.actor` says."""
        iteration, stream = self.iteration + ahead, self.stream
        seed = seed_of(self.config, iteration, "act")
        teacher = stream.sight.teacher(TeacherActor(stream.teacher, seed))
        share = self.teacher_share()
        if share == 1.0:
            return teacher, 1.0
        with while_learning():
            made = self.acting.student if self.acting else self.learner.student()
        made.seed(seed)
        student = stream.sight.student(made)
        if self.config.actor == "student":
            # Its first rollout goes on where the teacher's ended.
            return (TakesOver(student) if iteration == 1 and self._remembers else student), 0.0
        rng = np.random.default_rng(seed_of(self.config, iteration, "mix"))
        return MixedActor(teacher, student, share, rng, made.plan.remember), share

    def teacher_share(self) -> float:
        """Return the share of the next rollout's actions that the teacher chooses."""
        if not self.has_student or self.config.actor == "teacher":
            return 1.0
        return 0.0 if self.config.actor == "student" else 1.0 - self.stream.progress

    def collect(self) -> Rollout:
        """Gather the next rollout."""
        actor, share = self.actor()
        return self.stream.collect(actor, share, greedy=self._acts_by_mode(share))

    def _acts_by_mode(self, share: float, ahead: int = 0) -> bool:
        """Say whether the next rollout, or that `ahead`, is by the mode; what is scored is sampled, to the end."""
        progress = 0.0 if self.corrected else self.stream.progress
        return acts_by_mode(self.config, self.iteration + ahead, share, progress)

    def learn(
        self, rollout: Rollout, teacher_params: torch.Tensor, values: torch.Tensor | None = None
    ) -> dict[str, float]:
        """Store a labelled rollout and train; return what was measured, on its states before training on them.

        `values` are the teacher's, `[T * N]`, where the settings ask for them.
        """
        self.look_ahead()
        with while_learning(), self.stream.watch.timed("train"):
            features = self.stream.features(rollout)
            if not self.has_student:
                self.create_student(self.stream.normalizer, teacher_params)
            fidelity = self._fidelity(rollout, features, teacher_params)
            before = min((self.stream.env_steps - len(features)) / self.config.timesteps, 1.0)
            moment = Moment(before, self.stream.progress, len(features), seed_of(self.config, self.iteration, "train"))
            metrics = self._judge(Labelled(rollout, features, teacher_params, values), moment)
            if held := self._n_held(rollout):
                newest = Batch(features, teacher_params, self.stream.kept(rollout, values))
                aim = Objective(self.loss, self.stream.teacher.family)
                metrics |= learn_measured(self.learner, self.stream.buffer, newest, held, moment, self.effort, aim)
                metrics |= self.critics.learn(self.stream.buffer, values, moment) if self.critics else {}
            else:
                self.stream.store(rollout, features, teacher_params, values)
                if n_new := self._leave_out(len(features)):
                    metrics |= self._train(replace(moment, n_new=n_new), values)
            self.iteration += 1
            self.fresh.append(fidelity.kl if math.isfinite(fidelity.kl) else 1.0 - fidelity.agreement)
        return {**metrics, "train/kl": fidelity.kl, "train/agreement": fidelity.agreement}

    def look_ahead(self, unlabelled: Rollout | None = None) -> None:
        """Let the student act in the next rollout as it is; before this one is labelled where labels play no part."""
        waits = unlabelled is not None and (unlabelled.labels is not None or self.stream.label_states is not None)
        if waits or self.iteration in (0, self._looked_at) or not lags(self.config):
            return
        self._looked_at = self.iteration
        with while_learning():
            self.acting = Acting.of(self.learner)
        actor, share = self.actor(1)
        with self.stream.watch.timed("collect"):
            self.stream.ahead(actor, share, greedy=self._acts_by_mode(share, 1))

    def _judge(self, seen: Labelled, moment: Moment) -> dict[str, float]:
        """Show the critics a rollout before anybody learns from it."""
        if self.critics is None:
            return {}
        share = seen.rollout.teacher_share
        sampled = not acts_by_mode(self.config, self.iteration, share)
        return self.critics.look(seen, self.learner, moment, by_student=share == 0.0, sampled=sampled)

    def _train(self, moment: Moment, values: torch.Tensor | None) -> dict[str, float]:
        """Let student and critics learn from all that is stored."""
        buffer, critics, learner = self.stream.buffer, self.critics, self.learner
        if critics is None:
            return learner.learn(buffer, moment)
        drawn = critics.drawn(buffer)
        if drawn is None:
            return learner.learn(buffer, moment) | critics.learn(buffer, values, moment)
        assert isinstance(learner, GradientLearner), "checked before the run"
        return learner.learn(drawn, moment) | critics.learn(buffer, values, moment)

    def _n_held(self, rollout: Rollout) -> int:
        """Return how many of a rollout's states are kept out of the buffer while the student learns, to measure on."""
        # A tree is grown anew, a memory is measured along whole episodes, and scores are of all that is stored.
        plain = isinstance(self.learner, GradientLearner) and not self._remembers and not self.corrected
        whole = self.stream.episodes is None and self.config.buffer == "aggregate"
        return n_held(*rollout.episode_starts.shape) if self.config.passes == "auto" and plain and whole else 0

    def _leave_out(self, n_new: int) -> int:
        """Let failed episodes of the teacher teach nobody; return how many states are new, 0 where none is left."""
        if self.stream.episodes is None:
            return n_new
        goes_on = self.teacher_share() > HALF and not self.stream.done
        return self.stream.episodes.leave_out(self.stream.buffer, goes_on=goes_on, over=self.stream.done)

    def _fidelity(self, rollout: Rollout, features: torch.Tensor, teacher_params: torch.Tensor) -> Fidelity:
        teacher = self.stream.teacher
        if not self._remembers:
            return measure_fidelity(teacher, self.learner, features, teacher_params)
        seen, did, student = self.stream.sight.seen(rollout.obs), rollout.columns.get("actions"), self.learner.student()
        return fidelity_along(teacher, student, seen, rollout.episode_starts, teacher_params, did)

    def specify(self, normalizer: Normalizer | dict[str, Normalizer] | None) -> StudentSpec:
        """Return what the student is, apart from its weights."""
        teacher, sight = self.stream.teacher, self.stream.sight
        activation = activation_for(self.config.activation, teacher)
        seen = sight.space, sight.view, sight.wiring
        return StudentSpec.like(teacher, self.network, activation, normalizer, *seen)

    def create_student(
        self, normalizer: Normalizer | dict[str, Normalizer] | None, teacher_params: torch.Tensor | None = None
    ) -> None:
        """Make the student and who learns; log σ starts at that of the labels `[B, P]`."""
        spec = self.specify(normalizer)
        loss = ScoredLoss(self.loss, spec.action_map) if self.corrected else self.loss
        with while_learning():
            learner = find_learner(self.network)(spec, loss, self.config, teacher_params)
            student = learner.student()
        # Before hours of training: what no file can hold is of no use in the end.
        check_writable(student)
        self._learner, self._remembers = learner, bool(student.plan.memory.size)
        if asks_for(self.config):
            self.critics = Critics(spec, self.loss, self.config, self.stream.teacher.discount)
