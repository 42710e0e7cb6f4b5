"""Distillation from end to end: collect, label, store, learn, and in the end prove.

In: a teacher and an environment. Out: a `DistillResult`, and a run folder where one is asked for. The student acts and
the teacher labels (Czarnecki et al. 2019, arXiv 1902.02186); all labelled states are trained on again (DAgger, Ross et
al. 2011, arXiv 1011.0686), with full distributions as labels (Rusu et al. 2015, arXiv 1511.06295).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.config import DistillConfig, make_config
from policy_distill.environments.open import without_normalization
from policy_distill.environments.watch import step_limit
from policy_distill.evaluation.paired import Comparison
from policy_distill.interfaces import Tracker
from policy_distill.report.write import try_report
from policy_distill.run.checkpoint import Keeper
from policy_distill.run.folder import RunFolder, open_run_folder
from policy_distill.run.handover import hand_over
from policy_distill.run.proof import prove, spent_seeds, start_reference
from policy_distill.run.provenance import identity_of, provenance_of, request_of
from policy_distill.run.rescue import keeping_student
from policy_distill.run.result import DistillResult, evaluation_record
from policy_distill.run.selection import Selection
from policy_distill.run.session import Session
from policy_distill.run.settle import open_fitting, settle, sizes_of
from policy_distill.run.sinks import open_sinks
from policy_distill.run.standpoint import Standpoint, kept_where_stopped
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
    with (
        Interrupts(saved=resume and out is not None and RunFolder(Path(out)).resumable) as interrupts,
        step_limit(config.env_timeout),
        ExitStack() as scope,
    ):
        envs, env = open_fitting(teacher, env, config, scope, env_kwargs)
        interrupts.stop_if_requested("before the first step")
        session = Session(teacher, envs, student, loss, config)
        n_params, footprint = sizes_of(session)
        identity = identity_of(teacher, envs, student, config)
        folder, selection, keeper = _take_up(session, env, out, identity, scope, interrupts, resume, overwrite)
        with (
            keeping_student(session, selection, folder, identity),
            start_reference(session, env) as reference,
            closing(open_sinks(tracker, folder, identity, session.env_steps - bool(selection.owed))) as sinks,
            Progress(config.timesteps, enabled=progress, opening=str(footprint)) as bar,
            threads_for(teacher, n_params=n_params),
        ):
            _iterate(session, selection, sinks, interrupts, bar, keeper)
            chosen_by = selection.finish()
            comparison = prove(session, env, reference, bar, interrupts)
            result = _finish(session, comparison, chosen_by, identity, folder)
            hand_over(result, teacher, env if video else None, sinks)
    if folder:
        try_report(folder.path)
    return result


def _take_up(
    session: Session,
    env: Any,
    out: Any,
    identity: dict[str, Any],
    scope: ExitStack,
    interrupts: Interrupts,
    resume: bool,
    overwrite: bool,
) -> tuple[RunFolder | None, Selection, Keeper]:
    """Return the run folder, held within `scope`, and who keeps students and checkpoints; the session as it was."""
    folder = (
        None if out is None else open_run_folder(out, request_of(session.teacher), resume=resume, overwrite=overwrite)
    )
    if folder:
        scope.callback(folder.close)
    selection, place = Selection(session, without_normalization(env)), folder.checkpoints if folder else None
    keeper = Keeper(place, session, selection, identity, interrupts=interrupts, resume=resume)
    return folder, selection, keeper


def _iterate(
    session: Session,
    selection: Selection,
    tracker: FanOut,
    interrupts: Interrupts,
    bar: Progress,
    keeper: Keeper,
) -> None:
    """Run iterations until all data is collected: the algorithm."""
    kept = partial(kept_where_stopped, session, keeper, tracker, interrupts)
    while not session.done or selection.owed:
        # A run that was stopped while a student was judged owes that judgement, and begins with it.
        metrics, owed = selection.owed or {}, bool(selection.owed)
        if not owed:
            before = session.env_steps
            with kept(Standpoint(session)):
                rollout = session.collect()
                teacher_params = session.label(rollout)
            metrics = session.learn(rollout, teacher_params) | session.progress_metrics(rollout)
            selection.owed = metrics if selection.due(before) else None
        if selection.owed:
            with kept():
                metrics = {**metrics, "eval/selection_return": selection.judge(), **session.restart_metrics()}
            selection.owed = None
        tracker.log(metrics, session.env_steps)
        if tracker.wants_gradients and not owed:
            tracker.histograms(session.gradients(), session.env_steps)
        bar.update(session.env_steps, metrics)

        if keeper.due(stopping=interrupts.requested):
            tracker.sync()
            keeper.save()
        interrupts.stop_if_requested(f"at {session.env_steps} of {session.config.timesteps} steps")


def _finish(
    session: Session,
    comparison: Comparison | None,
    chosen_by: np.ndarray | None,
    identity: dict[str, Any],
    folder: RunFolder | None,
) -> DistillResult:
    """Make the student with its record, and write both to the run folder."""
    provenance = provenance_of(identity, session.teacher, session.env_steps)
    provenance["spent_seeds"] = spent_seeds(session.config, comparison) if comparison else []
    if session.envs.statistics:
        provenance["env_statistics"] = session.envs.statistics
    kept = {**comparison.retention.to_json(), "falls": comparison.retention.falls_json()} if comparison else None
    student = session.student(provenance, kept)
    fidelity = session.measure()
    record = evaluation_record(
        session.teacher,
        student,
        comparison,
        fidelity,
        env_id=identity["env_id"],
        config=session.config,
        selection_returns=chosen_by,
        env_steps=session.env_steps,
        env_restarts=session.restarts.n,
        wall_seconds=time.perf_counter() - session.began,
    )
    if folder:
        student.save(folder.student)
        folder.write_json("evaluation.json", record.to_json())
    seconds = comparison.seconds if comparison else {}
    return DistillResult(
        student, comparison, record, session.config, {**session.seconds, **seconds}, folder.path if folder else None
    )
