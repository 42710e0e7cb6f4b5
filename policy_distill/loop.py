"""Distillation from end to end: collect, label, store, learn, and in the end prove.

In: a teacher and an environment. Out: a `DistillResult`, and a run folder where one is asked for. The student acts and
the teacher labels (Czarnecki et al. 2019, arXiv 1902.02186); all labelled states are trained on again (DAgger, Ross et
al. 2011, arXiv 1011.0686), with full distributions as labels (Rusu et al. 2015, arXiv 1511.06295).
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.checkpoint import Keeper
from policy_distill.config import DistillConfig, make_config
from policy_distill.device import check_device
from policy_distill.env_watch import step_limit
from policy_distill.environments import open_environments, without_normalization
from policy_distill.fit import check_fit
from policy_distill.frame_stack import frames_of
from policy_distill.interfaces import Loss, Teacher, Tracker
from policy_distill.interrupts import Interrupts
from policy_distill.losses.table import choose_loss
from policy_distill.memory import check_memory
from policy_distill.networks.table import make_network
from policy_distill.paired import Comparison
from policy_distill.progress import Progress
from policy_distill.proof import prove, spent_seeds, start_reference
from policy_distill.provenance import identity_of, provenance_of
from policy_distill.report.video import try_video
from policy_distill.report.write import try_report
from policy_distill.rescue import keeping_student
from policy_distill.result import DistillResult, evaluation_record, final_metrics, latency_us
from policy_distill.run_folder import RunFolder, open_run_folder
from policy_distill.selection import Selection
from policy_distill.session import Session
from policy_distill.student import size_of
from policy_distill.threads import threads_for
from policy_distill.tracking.table import FanOut, MakeTracker, open_sinks


def distill(
    teacher: Teacher,
    env: Any,
    student: str = "mlp:32,32",
    *,
    config: DistillConfig | None = None,
    tracker: Tracker | MakeTracker | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    video: bool = False,
    **overrides: Any,
) -> DistillResult:
    """Distil a teacher into a compact student, and prove what it keeps.

    Args:
        teacher: as of `load_teacher`.
        env: a Gymnasium id, an EnvSpec, a callable, or a vector environment (which keeps its own number).
        student: the network, such as `mlp:32,32` or `linear`.
        config: settings; the defaults where None.
        tracker: a further sink of metrics beside `metrics.jsonl`, or a function that makes one from the run folder and
            its settings once the request is known to be right.
        out: a run folder; None writes nothing.
        resume: go on from the newest checkpoint in `out`, bit for bit where the environments allow it.
        overwrite: replace the run in `out`.
        progress: draw a bar on stderr where that is a terminal.
        video: record teacher and student side by side, for the report; needs the extra `video`.
        **overrides: fields of `DistillConfig`.

    Raises:
        RequestError: for a request that cannot be met, before the first environment step.
        RunFault: for an environment or a loss that is not finite.
        Interrupted: on SIGINT or SIGTERM, after a checkpoint where `out` is given.
    """
    config, loss = _settle(teacher, student, make_config(config, overrides))
    with (
        Interrupts(saved=resume and out is not None and RunFolder(Path(out)).resumable) as interrupts,
        step_limit(config.env_timeout),
        ExitStack() as scope,
    ):
        opened = open_environments(without_normalization(env), config.n_envs, teacher.env_wrappers)
        envs = scope.enter_context(closing(opened))
        check_fit(teacher, envs)
        interrupts.stop_if_requested("before the first step")
        session = Session(teacher, envs, student, loss, config)
        n_params = size_of(teacher, student, config.activation, session.observed_space())
        footprint = check_memory(config, envs.n_envs, envs.observation_space, teacher.family.n_params, frames_of(envs))
        identity, how = identity_of(teacher, envs.env_id, student, config), {"resume": resume, "overwrite": overwrite}
        folder, selection, keeper = _take_up(session, env, out, identity, scope, interrupts, **how)
        with (
            keeping_student(session, selection, folder, identity),
            start_reference(session, env) as reference,
            closing(open_sinks(tracker, folder, identity, session.env_steps)) as sinks,
            Progress(config.timesteps, enabled=progress, opening=str(footprint)) as bar,
            threads_for(teacher, n_params=n_params),
        ):
            _iterate(session, selection, sinks, interrupts, bar, keeper)
            chosen_by = selection.finish()
            comparison = prove(session, env, reference, bar, interrupts)
            result = _finish(session, comparison, chosen_by, identity, folder)
            _report(result, teacher, env if video else None, sinks)
    if folder:
        try_report(folder.path)
    return result


def _settle(teacher: Teacher, student: str, config: DistillConfig) -> tuple[DistillConfig, Loss]:
    """Return the settings and their loss once it is known that device, network and loss fit."""
    check_device(config.device)
    make_network(student, config.activation)
    return config, choose_loss(config.loss, teacher.family)


def _take_up(
    session: Session,
    env: Any,
    out: Any,
    identity: dict[str, Any],
    scope: ExitStack,
    interrupts: Interrupts,
    **how: bool,
) -> tuple[RunFolder | None, Selection, Keeper]:
    """Return the run folder, held within `scope`, and who keeps students and checkpoints; with the session as it was.

    `how` are `resume` and `overwrite`.
    """
    folder = None if out is None else open_run_folder(out, **how)
    if folder:
        scope.callback(folder.close)
    selection, place = Selection(session, without_normalization(env)), folder.checkpoints if folder else None
    keeper = Keeper(place, session, selection, identity, interrupts=interrupts, resume=how["resume"])
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
    while not session.done:
        before = session.env_steps
        rollout = session.collect()
        teacher_params = session.label(rollout)
        metrics = session.learn(rollout, teacher_params)

        if selection.due(before):
            metrics["eval/selection_return"] = selection.judge()
        metrics |= session.progress_metrics(rollout)
        tracker.log(metrics, session.env_steps)
        if tracker.wants_gradients:
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
    kept = comparison.retention.to_json() if comparison else None
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
        folder.write_json("evaluation.json", record)
    seconds = comparison.seconds if comparison else {}
    return DistillResult(
        student, comparison, record, session.config, {**session.seconds, **seconds}, folder.path if folder else None
    )


def _report(result: DistillResult, teacher: Teacher, filmed: Any, tracker: Tracker) -> None:
    """Log the proof and the sizes, and hand the student over as an artifact; `filmed` is the environment of a video."""
    if result.out and filmed is not None:
        try_video(teacher, result.student, without_normalization(filmed), RunFolder(result.out).video)
    record = result.evaluation
    metrics = {**final_metrics(record), "model/latency_us": latency_us(result.student)}
    tracker.log(metrics, record["env_steps"])
    tracker.summary(record)
    if result.out:
        metadata = {**record["student"], "retention": record["retention"], "env_id": record["env_id"]}
        tracker.artifact(result.out / "student.safetensors", "student", metadata)
        if (result.out / "video.mp4").exists():
            tracker.artifact(result.out / "video.mp4", "video", {})
