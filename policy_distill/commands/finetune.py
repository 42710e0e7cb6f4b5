"""`policy-distill finetune`: beyond the teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.distill import summary
from policy_distill.commands.options.from_teacher import FromTeacher
from policy_distill.commands.showing.output import Output, table
from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.tuning_record import TuningRecord
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.system.answers import answer
from policy_distill.system.wording import digits


@dataclass(frozen=True, kw_only=True)
class Finetune(FromTeacher):
    """Train a student further by reward, and keep the gain where it is proven.

    Example: policy-distill finetune runs/walker --env BipedalWalker-v3 --timesteps 200000 --out runs/tuned

    PPO improves the student, once its critic fits. The best student of the run is tested against the one that it
    started from: where no gain is proven, you get that one (docs/finetune.md).
    """

    student: Annotated[Path, tyro.conf.Positional]
    """student.safetensors, or a run folder with one."""
    teacher: tuple[Path, ...] = ()
    """The teacher that holds the student at first, and that the proof is against; by default the student is measured
    against the one that it began as."""
    config: Annotated[FinetuneConfig, tyro.conf.arg(name="")] = field(default_factory=FinetuneConfig)
    log_gradients: bool = False
    """Log histograms of the gradients to W&B, one of each layer for each rollout."""
    video: bool = False
    """Record teacher and student side by side for report.html; needs the extra video."""
    json: Annotated[bool, tyro.conf.arg(help="Print evaluation.json on stdout and nothing else.")] = False

    def make(self) -> int:
        """Tune and show the tables."""
        from policy_distill.commands.options.policies import find_env, say_applied
        from policy_distill.run.finetuning.begun import as_student
        from policy_distill.run.finetuning.finetune import finetune
        from policy_distill.student.file import in_run_folder
        from policy_distill.tracking.table import check_track

        check_track(self.track)
        path = in_run_folder(self.student)
        student = as_student(path)
        if self.combine is not None and not self.teacher:
            raise RequestError(f"expected teachers to combine by {self.combine}, found none; name them with --teacher")
        teacher = self.load() if self.teacher else None
        named = {"env_kwargs": self.env_kwargs, "gym_packages": self.gym_packages}
        env = find_env(self.env, path, student, **named)
        say_applied(teacher if teacher is not None else student)
        result = finetune(
            self.student,
            env,
            teacher=teacher,
            config=self.config,
            tracker=self.tracker(
                gradients=self.log_gradients, job_type="finetune", student=in_run_folder(self.student)
            ),
            out=self.out,
            resume=self.resume,
            overwrite=self.overwrite,
            progress=not self.json,
            video=self.video,
        )
        Output(self.json).show(result.evaluation, [])
        if not self.json:
            answer(f"{table(rows(result.record.finetuning))}\n\n{summary(result.record, result.seconds, self.out)}")
        return 0


def rows(record: TuningRecord | None) -> list[tuple[Any, ...]]:
    """Return what came of a fine-tuning, in words."""
    if record is None:
        return [("fine-tuned", TuningRecord().words)]
    found = {"began with": record.began_with, "tuned": record.tuned}
    returns = [(name, f"{digits(one.mean)} ± {digits(one.std)}") for name, one in found.items() if one is not None]
    return [("fine-tuned", record.words), *returns]
