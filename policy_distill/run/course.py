"""A run from its first rollout to its proof: iterations in order, with what keeps, judges and logs them.

In: a session with its environments, and a place. Out: a `DistillResult`, and a run folder where one was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from policy_distill.environments.open import without_normalization
from policy_distill.evaluation.records import EvaluationRecord, LeftOutRecord
from policy_distill.evaluation.reference import ReferenceRuns
from policy_distill.run.checkpoints.checkpoint import Keeper
from policy_distill.run.checkpoints.state import SessionState
from policy_distill.run.judging.selection import Selection
from policy_distill.run.monitoring.equip import check_watchable, watched_in
from policy_distill.run.place import Place
from policy_distill.run.proof import each_teacher, prove, spent_seeds
from policy_distill.run.provenance import RunIdentity, provenance_of, request_of
from policy_distill.run.result import DistillResult, evaluation_record
from policy_distill.run.session import Session
from policy_distill.run.settle import measure_fresh, measured_in
from policy_distill.run.standpoint import Standpoint, kept_where_stopped
from policy_distill.student.features import Featurizer
from policy_distill.student.runtime import Student
from policy_distill.student.spaces import describe_space
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.system.records import dump
from policy_distill.tracking.fan_out import FanOut


class Course:
    """A run with what keeps it: its folder, its selection, its checkpoints."""

    def __init__(
        self,
        session: Session,
        env: Any,
        identity: RunIdentity,
        place: Place,
        interrupts: Interrupts,
        scope: ExitStack,
        selection: Selection | None = None,
        request: dict[str, Any] | None = None,
    ) -> None:
        """Take up the folder, held within `scope`; `selection` judges students, by default as of `distill`.

        `request` are the words of the command line that ask for the run, by default those that load its teacher.
        """
        self.session, self.env, self.identity, self.interrupts = session, env, identity, interrupts
        if session.config.monitor:
            seen = describe_space(session.stream.sight.space)
            check_watchable(Featurizer(seen, None, session.stream.images))
        self.folder = place.open(request or request_of(session.stream.teacher), scope)
        self.selection = selection or Selection(session, without_normalization(env))
        checkpoints = self.folder.checkpoints if self.folder else None
        state = SessionState(session, self.selection)
        self.keeper = Keeper(checkpoints, state, identity.to_json(), interrupts=interrupts)

    @property
    def resumed_at(self) -> int:
        """The step after which metrics are logged: one that a stopped run owes is logged again."""
        return self.session.stream.env_steps - bool(self.selection.owed)

    def iterate(self, tracker: FanOut, bar: Progress) -> None:
        """Run iterations until all data is collected: the algorithm."""
        session, stream, selection = self.session, self.session.stream, self.selection
        kept = partial(kept_where_stopped, self.keeper, tracker, self.interrupts)
        while not stream.done or selection.owed:
            # A run that was stopped while a student was judged owes that judgement, and begins with it.
            metrics, owed = selection.owed or {}, bool(selection.owed)
            if not owed:
                before = stream.env_steps
                metrics = self.advance(kept)
                selection.owed = metrics if selection.due(before) else None
            if selection.owed:
                with kept():
                    metrics = {**metrics, "eval/selection_return": selection.judge(), **stream.restart_metrics()}
                    metrics |= selection.metrics()
                selection.owed = None
            tracker.log(metrics, stream.env_steps)
            if tracker.wants_gradients and not owed:
                tracker.histograms(session.learner.gradients(), stream.env_steps)
            bar.update(stream.env_steps, metrics)

            if self.keeper.due(stopping=self.interrupts.requested):
                tracker.sync()
                self.keeper.save()
            self.interrupts.stop_if_requested(f"at {stream.env_steps} of {session.config.timesteps} steps")

    def advance(self, kept: Callable[..., AbstractContextManager[None]]) -> dict[str, float]:
        """Make one iteration; a stop within `kept` loses nothing but that one. Return what was measured."""
        session, stream = self.session, self.session.stream
        with kept(Standpoint(stream, session=session)):
            rollout = session.collect()
            session.look_ahead(unlabelled=rollout)
            labels = stream.label_whole(rollout)
        learnt = session.learn(rollout, labels.params, labels.value)
        return {**learnt, **stream.metrics(), "rollout/teacher_share": rollout.teacher_share}

    def finish(self, reference: ReferenceRuns | None, bar: Progress, *, proven: bool = True) -> DistillResult:
        """Prove the best student, where it is to be `proven`, and write it to the run folder with its record."""
        session, stream, config = self.session, self.session.stream, self.session.config
        # They may be at a rollout that nobody asks for any more.
        stream.staff.dismiss()
        chosen_by = self.choose(bar)
        player = (stream, self.student, self.env, reference, bar, self.interrupts)
        comparison = prove(*player) if proven else None
        spent = spent_seeds(config, comparison, self.selection.n_seeds) if comparison else []
        kept = {**comparison.retention.to_json(), "falls": comparison.retention.falls_json()} if comparison else None
        student = self.student(self.provenance(spent), kept)
        with measured_in(stream, without_normalization(self.env)) as measured:
            fidelity = measure_fresh(session, measured)
            if config.monitor:
                sight: dict[str, Any] = {"actor": stream.sight.student(student), "seen": stream.sight.seen}
                student = watched_in(student, measured, seed=config.seed, **sight)
        record = evaluation_record(
            stream.teacher,
            student,
            comparison,
            fidelity,
            env_id=self.identity.env_id,
            config=config,
            selection_returns=chosen_by,
            env_steps=stream.env_steps,
            env_restarts=stream.restarts.n,
            wall_seconds=stream.watch.wall_seconds,
            stop=self.selection.record(),
            left_out=LeftOutRecord(**stream.episodes.counts()) if stream.episodes else None,
        )
        record = replace(record, teachers=each_teacher(stream, comparison, self.env))
        record = self.completed(record)
        if self.folder:
            student.save(self.folder.student)
            self.folder.write_json("evaluation.json", record.to_json())
        seconds = {**stream.watch.seconds, **(comparison.seconds if comparison else {})}
        return DistillResult(student, comparison, record, config, seconds, self.folder.path if self.folder else None)

    def choose(self, bar: Progress) -> np.ndarray | None:
        """Give the session the student to end with; return the returns that chose it."""
        return self.selection.finish()

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the student as it is handed over."""
        made = self.session.learner.student(provenance, retention)
        made.critic = self.session.critics.record() if self.session.critics else None
        return made

    def provenance(self, spent: list[list[int]]) -> dict[str, Any]:
        """Return where the student comes from; `spent` are the seeds that chose and proved it."""
        stream = self.session.stream
        found = provenance_of(self.identity, stream.teacher, stream.env_steps)
        moved = dump(self.session.transferred) if self.session.transferred else None
        statistics = stream.envs.statistics or None
        return replace(found, spent_seeds=spent, env_statistics=statistics, transfer=moved).to_json()

    def completed(self, record: EvaluationRecord) -> EvaluationRecord:
        """Return the record of the run with what it alone knows."""
        return replace(record, transfer=self.session.transferred)
