"""Compression from end to end: a race on one stream, a search at its border, and a proof of what was chosen.

In: a teacher, an environment and a bar. Out: a `CompressionResult`, and a run folder where one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from policy_distill.compression.candidates import expanded, ladder, without_zeros
from policy_distill.compression.front import CompressionResult
from policy_distill.compression.judge import Judge
from policy_distill.compression.kinds import Kinds
from policy_distill.compression.limits import Limits
from policy_distill.compression.race import Race
from policy_distill.compression.verdict import finish
from policy_distill.compression.work import Work
from policy_distill.config import RACE_STEPS, DistillConfig, make_config
from policy_distill.environments.open import Environments
from policy_distill.environments.watch import step_limit
from policy_distill.errors import RequestError
from policy_distill.evaluation.apart.teachers import measured
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stages import Tracker
from policy_distill.interfaces.students import Loss
from policy_distill.report.write import try_report
from policy_distill.run.columns import asked_for
from policy_distill.run.critics.request import without_critics
from policy_distill.run.place import Place
from policy_distill.run.provenance import RunIdentity, identity_of
from policy_distill.run.settle import open_fitting, settle
from policy_distill.run.sight import Sight
from policy_distill.run.sinks import open_sinks
from policy_distill.run.stream import Stream
from policy_distill.student.pixels import convolves, image_keys
from policy_distill.student.spaces import describe_space
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.system.threads import threads_for
from policy_distill.system.workers.settings import WorkerSettings
from policy_distill.teachers.sources import as_teacher
from policy_distill.tracking.front import track_front
from policy_distill.tracking.table import MakeTracker, choose_tracker
from policy_distill.training.learners import takes_raw_numbers
from policy_distill.training.spec import images_like


def compress(
    teacher: Any,
    env: Any,
    retention: float = 0.95,
    students: Sequence[str] | None = None,
    minimize: str = "params",
    *,
    config: DistillConfig | None = None,
    budget: int | None = None,
    max_params: int | None = None,
    max_bytes: int | None = None,
    keep_std: bool = False,
    finetune: bool = False,
    tracker: Tracker | MakeTracker | None = None,
    track: str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
    workers: int | WorkerSettings = 0,
    **overrides: Any,
) -> CompressionResult:
    """Find the smallest student that provably keeps a share of the teacher's return.

    Args: teacher: of `load_teacher`, or what it takes: a path, a live SB3 model, an object with `predict`. env: a
    Gymnasium id, an EnvSpec, a callable, or a vector environment. retention: the share of the teacher's gain over a
    random policy to keep, above 0 and below 1. students: students to try; a ladder for the task where None. `tree` and
    `oblique_tree` stand for ladders. minimize: `params`, `bytes`, `macs`, `flash` (of the generated C) or `latency` (on
    this machine). config: settings of the stream; where None the defaults, with 100,000 `timesteps`. budget:
    environment steps of collecting, choosing and fine-tuning together, at most; None for what `timesteps` needs.
    max_params: parameters of the student, at most. max_bytes: bytes of these, at most. keep_std: keep log σ in the
    deployed students, so that they can act by sampling. finetune: let students that miss the bar at the border go on by
    reward before they are dropped. tracker: as of `distill`. track: as of `distill`. out: a run folder; None writes
    nothing. resume: go on from the newest checkpoint in `out`. overwrite: replace the run in `out`. progress: draw the
    students still in the race and a bar on stderr, where that is a terminal. env_kwargs: arguments of the environment's
    constructor, before those that the teacher was trained with. say: told what was dropped, judged and proven, a line
    each. workers: processes that play the episodes by which students are judged and proven, which changes none of them.
    **overrides: fields of `DistillConfig`, such as `timesteps` and `seed`.

    Raises:
        RequestError: for a request that cannot be met, before the first environment step.
        RunFault: for an environment or a loss that is not finite.
        Interrupted: on SIGINT or SIGTERM, after a checkpoint where `out` is given.
    """
    students = expanded([students] if isinstance(students, str) else students or ())
    limits = Limits(retention, minimize, budget, max_params, max_bytes, keep_std, finetune)
    config = limits.within(without_critics(make_config(config or DistillConfig(timesteps=RACE_STEPS), overrides)))
    tracker = choose_tracker(tracker, track, out, teacher)
    teacher, config, loss = settle(as_teacher(teacher, env, env_kwargs), (students or ["linear"])[0], config)
    place = Place(out, resume=resume, overwrite=overwrite)
    with Interrupts(saved=place.resumable) as interrupts, step_limit(config.env_timeout), ExitStack() as scope:
        envs, env = open_fitting(teacher, env, config, scope, env_kwargs)
        interrupts.stop_if_requested("before the first step")
        teacher = measured(teacher, env, config.seed, n_envs=config.n_eval_envs)
        race, identity = _race(teacher, envs, env, students, limits, config, loss, scope)
        work = Work(race, env, identity, place, interrupts, scope, say or (lambda line: None))
        work.begin(scope, resume=resume, workers=workers)
        with (
            closing(open_sinks(tracker, work.folder, identity.to_json(), work.resumed_at)) as sinks,
            Progress(config.timesteps, description="compressing", enabled=progress) as bar,
            threads_for(teacher, n_params=max(one.n_params for one in race.candidates)),
        ):
            work.iterate(sinks, bar)
            found = finish(work, limits, bar, sinks)
    return _shown(work, found, tracker, identity)


def _shown(
    work: Work, found: CompressionResult, tracker: Tracker | MakeTracker | None, identity: RunIdentity
) -> CompressionResult:
    """Draw what was found where there is a folder, and hand it to the tracker."""
    if work.folder:
        track_front(tracker, work.folder.path, identity.to_json(), found.record)
        try_report(work.folder.path)
    return found


def _race(
    teacher: Teacher,
    envs: Environments,
    env: Any,
    students: Sequence[str] | None,
    limits: Limits,
    config: DistillConfig,
    loss: Loss,
    scope: ExitStack,
) -> tuple[Race, RunIdentity]:
    """Return a race that has not begun, and what makes it this one.

    Raises:
        RequestError: for a loss that fine-tuning cannot hold students to their teacher by.
    """
    if limits.finetune and (columns := getattr(loss, "columns", ())):
        raise RequestError(
            f"expected a loss of the distribution parameters only for --finetune, found {config.loss!r}, which reads "
            f"{', '.join(columns)}; choose another --loss, or leave --finetune out"
        )
    seen = Sight(envs, config, "cnn:4").space
    one_image = bool(images_like(teacher, "cnn:4", seen)) and len(image_keys(describe_space(seen))) == 1
    specs = [without_zeros(one) for one in students or ladder(images=one_image)]
    # Where one of them convolves an image among other keys, that stands first for all.
    # Trees can do without the statistics that networks learn with, and not the other way round.
    first = sorted(specs, key=lambda spec: (not convolves(spec), takes_raw_numbers(spec)))[0]
    stream = Stream(teacher, envs, config, first, columns=asked_for(loss, specs))
    kinds = Kinds(stream, loss, limits)
    race = Race(stream, kinds, specs, Judge(stream, env, scope, limits.bar, limits.budget), limits.bar)
    return race, replace(identity_of(teacher, envs, " ".join(specs), config), compress=limits.to_json())
