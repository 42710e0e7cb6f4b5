"""Distillation of several teachers, each in its own task, into one student.

In: pairs of teacher and environment. Out: a `ManyResult`, and a run folder where one is asked for. As policy
distillation was first done (Rusu et al. 2015, arXiv 1511.06295), with the student acting as in `run/distill`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig, make_config
from policy_distill.environments.watch import step_limit
from policy_distill.interfaces.stages import Tracker
from policy_distill.report.write import try_report
from policy_distill.run.place import Place
from policy_distill.run.sinks import open_sinks
from policy_distill.run.tasks.asked import Asked, open_team
from policy_distill.run.tasks.identities import identity_of_all
from policy_distill.run.tasks.many_result import ManyResult, track_many
from policy_distill.run.tasks.settings import TaskSettings
from policy_distill.run.tasks.team_course import TeamCourse
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.system.threads import threads_for
from policy_distill.tracking.table import MakeTracker, choose_tracker


def distill_many(
    tasks: Sequence[tuple[Any, Any]] | Mapping[str, tuple[Any, Any]],
    student: str = "mlp:64,64",
    *,
    task_blind: bool = False,
    inputs: str = "own",
    balance: str = "divergence",
    singles: Mapping[str, Any] | None = None,
    config: DistillConfig | None = None,
    tracker: Tracker | MakeTracker | None = None,
    track: str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    prove: bool = True,
    request: dict[str, Any] | None = None,
    **overrides: Any,
) -> ManyResult:
    """Distil several teachers, each in its own task, into one student, and prove what it keeps in each.

    Args:
        tasks: pairs of a teacher and an environment, each as `distill` takes it; a dict names the tasks, which else are
            called after their environments: `cartpole` for CartPole-v1.
        student: `mlp:64,64`, a body that all share with a head for each; `shared:64,64+mlp:16`, then layers of each
            task's own.
        task_blind: do not tell the student which task it is in.
        inputs: `own`, a first layer for each observation space, or `padded`, one for all.
        balance: what the loss of a task is divided by: `divergence` (its running mean, where that is above 10 nats),
            `entropy` or `none`.
        singles: students of one task each, by task, as `load_student` takes them, to compare sizes with; networks of
            the same layers where None.
        config: settings, the same for all tasks; `timesteps` are of each.
        tracker: as of `distill`.
        track: as of `distill`.
        out: a run folder; None writes nothing.
        resume: go on from the newest checkpoint in `out`.
        overwrite: replace the run in `out`.
        progress: draw a bar on stderr where that is a terminal.
        prove: False ends with the student that the selection's episodes chose.
        request: words of the command line that ask for the run, for the report.
        **overrides: fields of `DistillConfig`.

    Raises:
        RequestError: for a request that cannot be met, before the first environment step.
        RunFault: for an environment or a loss that is not finite.
        Interrupted: on SIGINT or SIGTERM, after a checkpoint where `out` is given.
    """
    settings = TaskSettings(task_blind, inputs, balance)  # type: ignore[arg-type]
    tracker = choose_tracker(tracker, track, out, None)
    asked = Asked.of(tasks, student, settings, make_config(config, overrides), singles or {})
    place, config = Place(out, resume=resume, overwrite=overwrite), asked.config
    with Interrupts(saved=place.resumable) as interrupts, step_limit(config.env_timeout), ExitStack() as scope:
        team = open_team(asked, scope)
        interrupts.stop_if_requested("before the first step")
        identities, identity = identity_of_all(team)
        scope.enter_context(threads_for(*(stream.teacher for stream in team.streams)))
        missing = {"missing": "its teachers were passed in from Python"}
        run = TeamCourse(team, identities, identity, place, interrupts, scope, request or missing)
        run.keeper.begin(resume=resume)
        with (
            closing(open_sinks(tracker, run.folder, identity.to_json(), run.resumed_at)) as sinks,
            Progress(len(team.tasks) * config.timesteps, enabled=progress) as bar,
        ):
            run.iterate(sinks, bar)
            result = run.finish(bar, asked.singles, proven=prove)
            track_many(result, sinks)
    if run.folder:
        try_report(run.folder.path)
    return result
