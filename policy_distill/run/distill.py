"""Distillation from end to end: collect, label, store, learn, and in the end prove.

In: a teacher and an environment. Out: a `DistillResult`, and a run folder where one is asked for. The student acts and
the teacher labels (Czarnecki et al. 2019, arXiv 1902.02186); all labelled states are trained on again (DAgger, Ross et
al. 2011, arXiv 1011.0686), with full distributions as labels (Rusu et al. 2015, arXiv 1511.06295).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig, make_config
from policy_distill.environments.open import without_normalization
from policy_distill.environments.watch import step_limit
from policy_distill.evaluation.reference import ReferenceRuns
from policy_distill.interfaces.stages import Tracker
from policy_distill.report.write import try_report
from policy_distill.run.checkpoint import Keeper
from policy_distill.run.handover import hand_over
from policy_distill.run.place import Place
from policy_distill.run.proof import prove, spent_seeds, start_reference
from policy_distill.run.provenance import RunIdentity, identity_of, provenance_of, request_of
from policy_distill.run.rescue import keeping_student
from policy_distill.run.result import DistillResult, evaluation_record
from policy_distill.run.selection import Selection
from policy_distill.run.session import Session
from policy_distill.run.settle import check_room, open_fitting, settle
from policy_distill.run.sinks import open_sinks
from policy_distill.run.standpoint import Standpoint, kept_where_stopped
from policy_distill.run.state import SessionState
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.system.threads import threads_for
from policy_distill.teachers.sources import as_teacher
from policy_distill.tracking.table import FanOut, MakeTracker, choose_tracker


def distill(
    teacher: Any,
    env: Any,
    student: str = "mlp:32,32",
    *,
    config: DistillConfig | None = None,
    tracker: Tracker | MakeTracker | None = None,
    track: str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    video: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> DistillResult:
    """Distil a teacher into a compact student, and prove what it keeps.

    Args:
        teacher: of `load_teacher`, or what it takes: a path, a live SB3 model, an object with `predict`.
        env: a Gymnasium id, an EnvSpec, a callable, or a vector environment (which keeps its own number).
        student: the network, such as `mlp:32,32` or `linear`.
        config: settings; the defaults where None.
        tracker: a further sink of metrics, or a function that makes one from the run folder and its settings.
        track: `offline`, `online`, `trackio` or `disabled`, or a dict of `mode`, `project`, `group`, `tags`.
        out: a run folder; None writes nothing.
        resume: go on from the newest checkpoint in `out`, bit for bit where the environments allow it.
        overwrite: replace the run in `out`.
        progress: draw a bar on stderr where that is a terminal.
        video: record teacher and student side by side, for the report; needs the extra `video`.
        env_kwargs: arguments of the environment's constructor, before those that the teacher was trained with.
        **overrides: fields of `DistillConfig`.

    Raises:
        RequestError: for a request that cannot be met, before the first environment step.
        RunFault: for an environment or a loss that is not finite.
        Interrupted: on SIGINT or SIGTERM, after a checkpoint where `out` is given.
    """
    tracker = choose_tracker(tracker, track, out, teacher)
    teacher, config, loss = settle(as_teacher(teacher, env, env_kwargs), student, make_config(config, overrides))
    place = Place(out, resume=resume, overwrite=overwrite)
    with Interrupts(saved=place.resumable) as interrupts, step_limit(config.env_timeout), ExitStack() as scope:
        envs, env = open_fitting(teacher, env, config, scope, env_kwargs)
        interrupts.stop_if_requested("before the first step")
        session = Session(teacher, envs, student, loss, config)
        n_params, footprint = check_room(session)
        run = _Run(session, env, identity_of(teacher, envs, student, config), place, interrupts, scope)
        run.keeper.begin(resume=resume)
        with (
            keeping_student(session, run.selection, run.folder, run.identity),
            start_reference(session.stream, env) as reference,
            closing(open_sinks(tracker, run.folder, run.identity.to_json(), run.resumed_at)) as sinks,
            Progress(config.timesteps, enabled=progress, opening=str(footprint)) as bar,
            threads_for(teacher, n_params=n_params),
        ):
            run.iterate(sinks, bar)
            result = run.finish(reference, bar)
            hand_over(result, teacher, env if video else None, sinks)
    if run.folder:
        try_report(run.folder.path)
    return result


class _Run:
    """A distillation with what keeps it: its folder, its selection, its checkpoints."""

    def __init__(
        self,
        session: Session,
        env: Any,
        identity: RunIdentity,
        place: Place,
        interrupts: Interrupts,
        scope: ExitStack,
    ) -> None:
        """Take up the folder, held within `scope`."""
        self.session, self.env, self.identity, self.interrupts = session, env, identity, interrupts
        self.folder = place.open(request_of(session.stream.teacher), scope)
        self.selection = Selection(session, without_normalization(env))
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
                with kept(Standpoint(stream)):
                    rollout = session.collect()
                    teacher_params = stream.label(rollout)
                metrics = session.learn(rollout, teacher_params) | session.progress_metrics(rollout)
                selection.owed = metrics if selection.due(before) else None
            if selection.owed:
                with kept():
                    metrics = {**metrics, "eval/selection_return": selection.judge(), **stream.restart_metrics()}
                selection.owed = None
            tracker.log(metrics, stream.env_steps)
            if tracker.wants_gradients and not owed:
                tracker.histograms(session.learner.gradients(), stream.env_steps)
            bar.update(stream.env_steps, metrics)

            if self.keeper.due(stopping=self.interrupts.requested):
                tracker.sync()
                self.keeper.save()
            self.interrupts.stop_if_requested(f"at {stream.env_steps} of {session.config.timesteps} steps")

    def finish(self, reference: ReferenceRuns | None, bar: Progress) -> DistillResult:
        """Prove the best student, and write it to the run folder with its record."""
        session, stream, config = self.session, self.session.stream, self.session.config
        chosen_by = self.selection.finish()
        comparison = prove(stream, session.learner.student, self.env, reference, bar, self.interrupts)
        provenance = provenance_of(self.identity, stream.teacher, stream.env_steps)
        spent = spent_seeds(config, comparison) if comparison else []
        provenance = replace(provenance, spent_seeds=spent, env_statistics=stream.envs.statistics or None)
        kept = {**comparison.retention.to_json(), "falls": comparison.retention.falls_json()} if comparison else None
        student = session.learner.student(provenance.to_json(), kept)
        record = evaluation_record(
            stream.teacher,
            student,
            comparison,
            session.measure(),
            env_id=self.identity.env_id,
            config=config,
            selection_returns=chosen_by,
            env_steps=stream.env_steps,
            env_restarts=stream.restarts.n,
            wall_seconds=stream.watch.wall_seconds,
        )
        if self.folder:
            student.save(self.folder.student)
            self.folder.write_json("evaluation.json", record.to_json())
        seconds = {**stream.watch.seconds, **(comparison.seconds if comparison else {})}
        return DistillResult(student, comparison, record, config, seconds, self.folder.path if self.folder else None)
