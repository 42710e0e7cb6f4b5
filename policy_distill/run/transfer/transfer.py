"""Transfer from end to end: a student of one task goes on in another, by reward or by a teacher of that task.

In: a student, and another environment. Out: a `DistillResult`, and a run folder where one is asked for. Whether that is
quicker than a student that begins from nothing, `experiments/transfer.py` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.environments.choice import for_policy, recorded_in
from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.tuning_record import TransferRecord
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stages import Tracker
from policy_distill.run.distill import Parts, distil_by
from policy_distill.run.finetuning.asked import asked_again, file_of
from policy_distill.run.finetuning.begun import as_student, digest_of
from policy_distill.run.finetuning.finetune import go_on
from policy_distill.run.finetuning.rewarded_course import course_of
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.run.place import Place
from policy_distill.run.provenance import RunIdentity, identity_of
from policy_distill.run.result import DistillResult
from policy_distill.run.session import Session
from policy_distill.run.transfer.body import moved_to
from policy_distill.run.transfer.by_teacher import TransferSession, as_it_saw
from policy_distill.run.transfer.settings import frozen_of
from policy_distill.run.transfer.task import NextTask, task_by_reward, task_by_teacher
from policy_distill.student.onboard.names import action_names
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.settings import with_overrides
from policy_distill.system.workers.settings import WorkerSettings
from policy_distill.teachers.sources import as_teacher
from policy_distill.tracking.table import MakeTracker, choose_tracker

OnMoved = Callable[[TransferRecord], None]
"""Told what of the student was taken along, before anything is learnt."""


def transfer(
    student: Any,
    env: Any,
    *,
    teacher: Any = None,
    task: str | None = None,
    freeze: Sequence[str] = (),
    config: DistillConfig | None = None,
    tracker: Tracker | MakeTracker | None = None,
    track: str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    video: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
    on_moved: OnMoved | None = None,
    **overrides: Any,
) -> DistillResult:
    """Let a student go on in another task: by reward, or by what a teacher of that task does.

    Layers are copied where they fit. Of a vector with other components the first layer keeps the weights of those that
    are the same, and begins at zero for the others; where actions are others, the head is drawn anew.

    Args:
        student: of `load_student`, the path of a student, or a run folder.
        env: the other task: a Gymnasium id, an EnvSpec, a callable, or a vector environment.
        teacher: of the other task, what `load_teacher` takes; None goes on by reward.
        task: of a student of several tasks the one to take along, by its name or the id of its environment.
        freeze: layers that stay as they are, as of `FinetuneConfig.freeze`.
        config: a `FinetuneConfig`, or with a teacher a `DistillConfig`; the defaults where None.
        tracker: as of `distill`, like all up to `env_kwargs`.
        track: likewise.
        out: likewise.
        resume: likewise.
        overwrite: likewise.
        progress: likewise.
        video: likewise.
        env_kwargs: likewise.
        on_moved: told what was copied, resized and begun anew.
        **overrides: fields of `FinetuneConfig`, or with a teacher of `DistillConfig`.

    Raises:
        RequestError: for a request that cannot be met, before the first environment step.
        RunFault: as of `finetune` and `distill`.
        Interrupted: on SIGINT or SIGTERM, after a checkpoint where `out` is given.
    """
    tracker = choose_tracker(tracker, track, out, teacher, job_type="transfer", student=file_of(student))
    origin = as_student(student) if task is None else as_student(student).task(task)
    place = Place(out, resume=resume, overwrite=overwrite)
    given: dict[str, Any] = {"tracker": tracker, "progress": progress, "video": video}
    asked = partial(_asked, student, task)
    if teacher is None:
        if config is not None and not isinstance(config, FinetuneConfig):
            raise RequestError(f"expected a FinetuneConfig for a transfer by reward, found {type(config).__name__}")
        settings = frozen_of(with_overrides(config or FinetuneConfig(), overrides, "transfer"), tuple(freeze))
        env = for_policy(env, origin, env_kwargs)
        moved, record = _moved(origin, task_by_reward(origin, env), settings.freeze, settings.seed, "reward", on_moved)
        return go_on(moved, env, settings, place, asked=asked, transferred=record, **given)
    if isinstance(config, FinetuneConfig):
        raise RequestError("expected a DistillConfig for a transfer by a teacher, found a FinetuneConfig")
    by = as_teacher(teacher, env, env_kwargs)
    settings_of_run = with_overrides(config or DistillConfig(), overrides, "transfer")
    env = for_policy(env, by, env_kwargs)
    moved, record = _moved(origin, task_by_teacher(by, env), freeze, settings_of_run.seed, "teacher", on_moved)
    parts = _parts(origin, moved, record, freeze, asked, settings_of_run)
    settled, staff = as_it_saw(settings_of_run, moved.record), WorkerSettings(0)
    return distil_by(parts, by, env, moved.description.architecture.spec, settled, place, staff=staff, **given)


def _moved(
    origin: Student, task: NextTask, freeze: Sequence[str], seed: int, by: str, on_moved: OnMoved | None
) -> tuple[Student, TransferRecord]:
    """Return the student as it begins in a task, and what became of each of its parts."""
    record, parts = moved_to(task, origin.record, freeze, seed)
    student = Student.of(_renamed(record, origin.origin.env_id, task))
    if record.tensors is origin.record.tensors:
        # What it held states to be worth is near what they are worth here; of other features it says nothing.
        student.critic = origin.critic
    known = recorded_in(origin)
    began_in = known.text if known is not None else origin.origin.env_id
    said = TransferRecord(by, began_in, parts)
    if on_moved is not None:
        on_moved(said)
    return student, said


def _renamed(record: StudentRecord, began_in: str | None, task: NextTask) -> StudentRecord:
    """Return a record with the names of a task's actions, where these are known, and without the monitor of another."""
    named = action_names(task.env_id, task.action_space) if task.env_id != began_in else None
    said = record.without_monitor().description
    if named is not None:
        said = replace(said, wiring=replace(said.wiring, actions=named))
    return record if said is record.description else StudentRecord(record.tensors, said)


def _parts(
    origin: Student,
    moved: Student,
    record: TransferRecord,
    freeze: Sequence[str],
    asked: Callable[[Teacher | None, DistillConfig], dict[str, Any]],
    config: DistillConfig,
) -> Parts:
    """Return the parts of a distillation that begins at a student."""

    def identity(teacher: Teacher, *given: Any) -> RunIdentity:
        began = {"student": digest_of(moved), "from": digest_of(origin), "freeze": list(freeze)}
        return replace(identity_of(teacher, *given), transfer=began)

    def course(session: Session, env: Any, known: RunIdentity, place: Place, stop: Interrupts, scope: ExitStack) -> Any:
        request = {**asked(session.stream.teacher, config), **({"freeze": list(freeze)} if freeze else {})}
        return course_of(session, env, known, place, stop, scope, request)

    begun = partial(TransferSession, origin=moved.record, transferred=record, freeze=freeze)
    return Parts(begun, course, identity)


def _asked(student: Any, task: str | None, teacher: Teacher | None, config: DistillConfig) -> dict[str, Any]:
    """Return the words of the command line that ask for a transfer; see `asked_again`."""
    named = {} if task is None else {"task": task}
    return {**asked_again(student, teacher, config), **named, "command": "transfer"}
