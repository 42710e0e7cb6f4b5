"""What the experiment scripts share: a teacher (given or trained), one distillation for each seed, and the tables."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from policy_distill import DistillConfig, distill, load_teacher, train_teacher
from policy_distill.commands.distill import summary
from policy_distill.errors import RequestError
from policy_distill.progress import Progress
from policy_distill.tracking.table import tracker_maker


@dataclass(frozen=True)
class Experiment:
    """Settings of an experiment script, apart from those of the distillation."""

    out: Path
    """Folder for the teacher and one run folder a seed."""
    student: str
    """The student's network."""
    teacher_timesteps: int
    """Environment steps for the teacher, at most."""
    teacher: Path | None = None
    """A teacher's zip; trained here where there is none."""
    seeds: tuple[int, ...] = (0,)
    """One distillation for each."""
    track: Literal["offline", "online", "disabled"] = "offline"
    """Weights & Biases."""
    overwrite: bool = False
    """Replace earlier runs in the folder."""


def run(experiment: Experiment, config: DistillConfig, env: ModuleType) -> None:
    """Train or load the teacher, distil it once for each seed, and print the tables."""
    teacher_zip, teacher_seconds = experiment.teacher, None
    if teacher_zip is None:
        teacher_zip, teacher_seconds = _train(experiment, env)
    teacher = load_teacher(teacher_zip, env=env.ENV_ID)
    for seed in experiment.seeds:
        out = experiment.out / f"seed-{seed}"
        result = distill(
            teacher,
            env.ENV_ID,
            experiment.student,
            config=config,
            seed=seed,
            tracker=tracker_maker(experiment.track, group=experiment.out.name),
            out=out,
            overwrite=experiment.overwrite,
            progress=True,
        )
        print(f"\n{summary(result.evaluation, result.seconds, out, teacher_seconds)}\n")


def _train(experiment: Experiment, env: ModuleType) -> tuple[Path, float]:
    zip_path = experiment.out / "teacher.zip"
    if zip_path.exists() and not experiment.overwrite:
        raise RequestError(f"expected a new --out, found {zip_path}; add --overwrite, or use it with --teacher")
    began = time.perf_counter()
    with Progress(experiment.teacher_timesteps, description="teacher") as bar:
        train_teacher(
            env.ENV_ID,
            "ppo",
            experiment.teacher_timesteps,
            out=zip_path,
            stop_at=env.SOLVED,
            hyperparameters=env.TEACHER,
            on_step=lambda step: bar.update(step, {}),
        )
    return zip_path, time.perf_counter() - began
