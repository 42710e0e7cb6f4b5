"""Fine-tuning from end to end: a student goes on by reward, and what it gains is proven, or it stays as it came.

In: a student and an environment, and its teacher where there is one. Out: a `DistillResult`, and a run folder where one
is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from policy_distill.environments.own_wrapper import text_of
from policy_distill.environments.watch import step_limit
from policy_distill.evaluation.apart.teachers import measured
from policy_distill.evaluation.parts.tuning_record import TransferRecord
from policy_distill.evaluation.proof.spent import spent_by_student, spent_by_teacher
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stages import Tracker
from policy_distill.interfaces.stepping import Environments
from policy_distill.losses.table import choose_loss
from policy_distill.report.write import try_report
from policy_distill.run.checkpoints.rescue import keeping_student
from policy_distill.run.finetuning.asked import asked_again, file_of
from policy_distill.run.finetuning.begun import as_student, digest_of, teacher_for
from policy_distill.run.finetuning.course import FinetuneCourse
from policy_distill.run.finetuning.evolution import EvolutionCourse, EvolutionSession
from policy_distill.run.finetuning.form import check_request
from policy_distill.run.finetuning.ppo_session import PPOSession
from policy_distill.run.finetuning.session import FinetuneSession
from policy_distill.run.finetuning.settings import CRITIC_STEPS, DISCOUNT, FinetuneConfig, check_steps
from policy_distill.run.handover import hand_over
from policy_distill.run.place import Place
from policy_distill.run.proof import start_reference
from policy_distill.run.provenance import RunIdentity, identity_of
from policy_distill.run.result import DistillResult
from policy_distill.run.settle import open_fitting
from policy_distill.run.sinks import open_sinks
from policy_distill.seeds import PROOF, Span, fresh_start
from policy_distill.student.runtime import Student
from policy_distill.system.device import check_device
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.system.settings import with_overrides
from policy_distill.system.threads import threads_for
from policy_distill.tracking.table import MakeTracker, choose_tracker


def finetune(
    student: Any,
    env: Any,
    *,
    teacher: Any = None,
    config: FinetuneConfig | None = None,
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
    """Improve a student by reward, and prove what it gains.

    First only a critic learns; then PPO improves the student, held by the divergence from its teacher where there is
    one. The best of the run is tested against the student that it began with, on episodes of their own: where no gain
    is proven, that student is returned.

    Args:
        student: of `load_student`, the path of a student, or a run folder.
        env: a Gymnasium id, an EnvSpec, a callable, or a vector environment (which keeps its own number).
        teacher: of `load_teacher`, or what it takes; the proof is then against it, and else against the student itself.
        config: settings; the defaults where None.
        tracker: a further sink of metrics, or a function that makes one from the run folder and its settings.
        track: `offline`, `online`, `trackio` or `disabled`, or a dict of `mode`, `project`, `group`, `tags`.
        out: a run folder; None writes nothing.
        resume: go on from the newest checkpoint in `out`, bit for bit where the environments allow it.
        overwrite: replace the run in `out`.
        progress: draw a bar on stderr where that is a terminal.
        video: record teacher and student side by side, for the report; needs the extra `video`.
        env_kwargs: arguments of the environment's constructor, before those that the student was made with.
        **overrides: fields of `FinetuneConfig`.

    Raises:
        RequestError: for a request that cannot be met, before the first environment step.
        RunFault: for an environment or an update that is not finite.
        Interrupted: on SIGINT or SIGTERM, after a checkpoint where `out` is given.
    """
    tracker = choose_tracker(tracker, track, out, teacher, job_type="finetune", student=file_of(student))
    return go_on(
        as_student(student),
        env,
        with_overrides(config or FinetuneConfig(), overrides, "finetune"),
        Place(out, resume=resume, overwrite=overwrite),
        asked=partial(asked_again, student),
        teacher=teacher,
        tracker=tracker,
        progress=progress,
        video=video,
        env_kwargs=env_kwargs,
    )


def go_on(
    origin: Student,
    env: Any,
    config: FinetuneConfig,
    place: Place,
    *,
    asked: Callable[[Teacher | None, FinetuneConfig], dict[str, Any]],
    teacher: Any = None,
    transferred: TransferRecord | None = None,
    tracker: Tracker | MakeTracker | None = None,
    progress: bool = False,
    video: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
) -> DistillResult:
    """Improve a student by reward, whoever asked for it; all else as of `finetune`.

    `asked` returns the words of the command line that ask for the run, and `transferred` is what of a student of
    another task `origin` has.
    """
    check_request(origin.record, config, anchored=teacher is not None)
    labels = teacher_for(origin, teacher, env, env_kwargs)
    request = asked(labels if teacher is not None else None, config)
    config, gate_seed = as_it_sees(config, origin, labels)
    with Interrupts(saved=place.resumable) as interrupts, step_limit(config.env_timeout), ExitStack() as scope:
        envs, env = open_fitting(labels, env, config, scope, env_kwargs)
        check_steps(config, envs.n_envs)
        labels = measured(labels, env, config.seed, n_envs=config.n_eval_envs)
        interrupts.stop_if_requested("before the first step")
        identity = _identity(origin, labels, envs, config)
        session, course = session_for(origin, labels, envs, env, config, scope, anchored=teacher is not None)
        session.transferred = transferred
        run = course(session, env, identity, place, interrupts, scope, gate_seed=gate_seed, request=request)
        run.keeper.begin(resume=place.resume)
        with (
            keeping_student(session, run.selection, run.folder, run.identity),
            start_reference(session.stream, env) as reference,
            closing(open_sinks(tracker, run.folder, run.identity.to_json(), run.resumed_at)) as sinks,
            Progress(config.timesteps, enabled=progress) as bar,
            threads_for(labels, n_params=origin.n_params),
        ):
            run.iterate(sinks, bar)
            result = run.finish(reference, bar)
            hand_over(result, labels, env if video else None, sinks)
    if run.folder:
        try_report(run.folder.path)
    return result


def as_it_sees(config: FinetuneConfig, origin: Student, teacher: Teacher) -> tuple[FinetuneConfig, int]:
    """Return settings under which the student sees what it is used to, all of them known, and where its test begins.

    Neither the test nor the proof uses episodes that this student was chosen or proven on before.
    """
    check_device(config.device)
    view = origin.view
    wrapper = text_of(view.wrapper) if view.wrapper else ""
    seen: dict[str, Any] = {
        "observe": view.names,
        "student_wrapper": wrapper,
        "observation_names": ",".join(view.labels),
    }
    if config.critic_steps is None:
        seen["critic_steps"] = 0 if origin.critic else CRITIC_STEPS
    if config.gamma is None:
        of_critic = origin.critic.metadata["discount"] if origin.critic else None
        seen["gamma"] = of_critic or teacher.discount or DISCOUNT
    spent: list[Span] = [*spent_by_student(origin), *spent_by_teacher(teacher)]
    n_episodes = max(config.eval_episodes, 1)
    if config.eval_seed != PROOF:
        # Taken as it is; the test keeps away from it.
        spent.append((config.eval_seed, config.eval_seed + n_episodes))
    gate_seed = fresh_start(PROOF, n_episodes, spent)
    if config.eval_seed == PROOF:
        spent.append((gate_seed, gate_seed + n_episodes))
        seen["eval_seed"] = fresh_start(PROOF, n_episodes, spent)
    return replace(config, **seen), gate_seed


def session_for(
    origin: Student,
    teacher: Teacher,
    envs: Environments,
    env: Any,
    config: FinetuneConfig,
    scope: ExitStack,
    *,
    anchored: bool,
) -> tuple[FinetuneSession, type[FinetuneCourse]]:
    """Return the session of the method that was asked for, and the course that it takes."""
    loss = choose_loss(config.loss, teacher.family)
    if config.method == "ppo":
        session = PPOSession(origin.record, teacher, envs, loss, config, anchored=anchored, critic=origin.critic)
        return session, FinetuneCourse
    search = EvolutionSession(origin.record, teacher, envs, loss, config, anchored=anchored, critic=origin.critic)
    scope.enter_context(search.search(env))
    return search, EvolutionCourse


def _identity(origin: Student, teacher: Teacher, envs: Environments, config: FinetuneConfig) -> RunIdentity:
    """Return what makes a run this run: which student it begins with among that, and how it goes on."""
    began = {"method": config.method, "student": digest_of(origin)}
    return replace(identity_of(teacher, envs, origin.description.architecture.spec, config), finetuning=began)
