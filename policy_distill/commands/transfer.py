"""`policy-distill transfer`: a student goes on in another task."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.distill import summary
from policy_distill.commands.finetune import rows
from policy_distill.commands.options.from_teacher import FromTeacher
from policy_distill.commands.showing.output import Output, table
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.tuning_record import TransferRecord
from policy_distill.run.transfer.settings import TransferSettings
from policy_distill.system.answers import answer


@dataclass(frozen=True, kw_only=True)
class Transfer(FromTeacher):
    """Train a student further in another task: by reward, or by a teacher of that task.

    Example: policy-distill transfer runs/lander --env LunarLander-v3 --env-kwargs gravity:-6.0 --out runs/moved

    Layers are copied where they fit. The command prints which were copied, resized or started afresh, and records it in
    evaluation.json (docs/transfer.md).
    """

    student: Annotated[Path, tyro.conf.Positional]
    """student.safetensors, or a run folder with one."""
    task: str | None = None
    """Of a student of several tasks, the one to take along: its name, or the id of its environment."""
    teacher: tuple[Path, ...] = ()
    """A teacher of the other task, to distil the student from; by default it learns by reward."""
    freeze: tuple[str, ...] = ()
    """Layers that stay as they are: by number from 1, or body (all but the last), head, log_std."""
    config: DistillConfig = field(default_factory=DistillConfig, metadata={"not asked": True})
    """Its settings are those of `settings`."""
    settings: Annotated[TransferSettings, tyro.conf.arg(name="")] = field(default_factory=TransferSettings)
    video: bool = False
    """Record teacher and student side by side for report.html; needs the extra video."""
    json: Annotated[bool, tyro.conf.arg(help="Print evaluation.json on stdout and nothing else.")] = False

    def make(self) -> int:
        """Go on and show the tables."""
        from policy_distill.commands.options.policies import find_env, say_applied
        from policy_distill.run.finetuning.begun import as_student
        from policy_distill.run.transfer.transfer import transfer
        from policy_distill.student.file import in_run_folder
        from policy_distill.tracking.table import check_track

        check_track(self.track)
        if self.env is None and not self.env_kwargs:
            raise RequestError("expected --env or --env-kwargs, the task to go on in, found neither; name one")
        overrides = self.settings.overrides(by_teacher=bool(self.teacher))
        path = in_run_folder(self.student)
        student = as_student(path) if self.task is None else as_student(path).task(self.task)
        teacher = self.load() if self.teacher else None
        known: Any = student if teacher is None else teacher
        env = find_env(self.env, path, known, env_kwargs=self.env_kwargs, gym_packages=self.gym_packages)
        say_applied(known)
        result = transfer(
            self.student,
            env,
            teacher=teacher,
            task=self.task,
            freeze=self.freeze,
            tracker=self.tracker(job_type="transfer", student=path),
            out=self.out,
            resume=self.resume,
            overwrite=self.overwrite,
            progress=not self.json,
            video=self.video,
            on_moved=say_moved,
            **overrides,
        )
        Output(self.json).show(result.evaluation, [])
        if not self.json:
            tuned = [] if result.record.finetuning is None else [table(rows(result.record.finetuning))]
            answer("\n\n".join([*tuned, summary(result.record, result.seconds, self.out)]))
        return 0


def say_moved(record: TransferRecord) -> None:
    """Say on stderr what of the student was taken along."""
    print(f"{record.words}\n{table([one.row for one in record.parts or ()])}", file=sys.stderr)
