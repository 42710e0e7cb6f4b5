"""Distillation from end to end: collect, label, store, learn, and in the end prove.

In: a teacher and an environment. Out: a `DistillResult`, and a run folder where one is asked for. The student acts and
the teacher labels (Czarnecki et al. 2019, arXiv 1902.02186); all labelled states are trained on again (DAgger, Ross et
al. 2011, arXiv 1011.0686), with full distributions as labels (Rusu et al. 2015, arXiv 1511.06295).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig, make_config
from policy_distill.environments.watch import step_limit
from policy_distill.evaluation.apart.teachers import measured
from policy_distill.evaluation.on_workers import played_on
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stages import Tracker
from policy_distill.report.write import try_report
from policy_distill.run.checkpoints.rescue import keeping_student
from policy_distill.run.course import Course
from policy_distill.run.finetuning.rewarded_course import course_of, session_of
from policy_distill.run.handover import hand_over
from policy_distill.run.place import Place
from policy_distill.run.proof import start_reference
from policy_distill.run.provenance import RunIdentity, identity_of
from policy_distill.run.result import DistillResult
from policy_distill.run.session import Session
from policy_distill.run.settle import check_room, hire, open_fitting, settle
from policy_distill.run.sinks import open_sinks
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.system.threads import threads_for
from policy_distill.system.workers.settings import WorkerSettings
from policy_distill.teachers.sources import as_teacher
from policy_distill.tracking.table import MakeTracker, choose_tracker


@dataclass(frozen=True)
class Parts:
    """What a distillation is put together from."""

    session: Callable[..., Session] = session_of
    course: Callable[..., Course] = course_of
    identity: Callable[..., RunIdentity] = identity_of


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
    prove: bool = True,
    env_kwargs: Mapping[str, Any] | None = None,
    workers: int | str | WorkerSettings = "auto",
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
        prove: False ends with the student that the selection's episodes chose, and plays none of the proof's;
            `resume` proves it later.
        env_kwargs: arguments of the environment's constructor, before those that the teacher was trained with.
        workers: processes that step the environments while this one learns, and play the proof; 0 for none, `auto` for
            as many as idle cores have room for, where the run is long enough. The student is the same, bit for bit.
        **overrides: fields of `DistillConfig`.

    Raises:
        RequestError: for a request that cannot be met, before the first environment step.
        RunFault: for an environment or a loss that is not finite.
        Interrupted: on SIGINT or SIGTERM, after a checkpoint where `out` is given.
    """
    return distil_by(
        Parts(),
        as_teacher(teacher, env, env_kwargs),
        env,
        student,
        make_config(config, overrides),
        Place(out, resume=resume, overwrite=overwrite),
        tracker=choose_tracker(tracker, track, out, teacher),
        staff=WorkerSettings.of(workers),
        env_kwargs=env_kwargs,
        progress=progress,
        video=video,
        prove=prove,
    )


def distil_by(
    parts: Parts,
    teacher: Teacher,
    env: Any,
    student: str,
    config: DistillConfig,
    place: Place,
    *,
    tracker: Tracker | MakeTracker | None,
    staff: WorkerSettings,
    env_kwargs: Mapping[str, Any] | None = None,
    progress: bool = False,
    video: bool = False,
    prove: bool = True,
) -> DistillResult:
    """Distil with parts of another kind; all else as of `distill`."""
    teacher, config, loss = settle(teacher, student, config)
    with Interrupts(saved=place.resumable) as interrupts, step_limit(config.env_timeout), ExitStack() as scope:
        envs, env = open_fitting(teacher, env, config, scope, env_kwargs)
        interrupts.stop_if_requested("before the first step")
        teacher = measured(teacher, env, config.seed, n_envs=config.n_eval_envs)
        session = parts.session(teacher, envs, student, loss, config)
        n_params, footprint = check_room(session)
        scope.enter_context(threads_for(teacher, n_params=n_params))
        pool = hire(session, env, staff, scope)
        run = parts.course(session, env, parts.identity(teacher, envs, student, config), place, interrupts, scope)
        run.keeper.begin(resume=place.resume)
        with (
            keeping_student(session, run.selection, run.folder, run.identity),
            start_reference(session.stream, env) if prove else nullcontext() as reference,
            closing(open_sinks(tracker, run.folder, run.identity.to_json(), run.resumed_at)) as sinks,
            Progress(config.timesteps, enabled=progress, opening=str(footprint)) as bar,
        ):
            run.iterate(sinks, bar)
            with played_on(pool, staff):
                result = run.finish(reference, bar, proven=prove)
            hand_over(result, teacher, env if video else None, sinks)
    if run.folder:
        try_report(run.folder.path)
    return result
