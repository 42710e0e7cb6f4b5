"""What the experiment scripts share: a teacher (given or trained), a distillation for each seed, tables, report."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from envs.teacher import Recipe
from policy_distill import DistillConfig, distill, load_student, load_teacher, train_teacher
from policy_distill.commands.distill import summary
from policy_distill.commands.showing.comparison_files import add_perturbed
from policy_distill.commands.showing.comparison_tables import perturbation_rows
from policy_distill.commands.showing.output import table
from policy_distill.errors import RequestError
from policy_distill.evaluation.contexts.robustness import compare_under
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.spent import choose_seed
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.system.progress import Progress
from policy_distill.teachers.files.zip_file import find_zip
from policy_distill.tracking.table import tracker_maker
from policy_distill.tracking.teacher import tracked

N_PERTURBED = 100
"""Episodes under each perturbation, at most."""


@dataclass(frozen=True)
class Experiment:
    """Settings of an experiment script, apart from those of the distillation."""

    out: Path
    """Folder for the teacher and one run folder a seed."""
    student: str
    """The student's network."""
    teacher_timesteps: int | None = None
    """Environment steps for the teacher, at most; those of the environment's recipe where None."""
    teacher: Path | None = None
    """A teacher's zip, or a folder with one; trained here where there is none."""
    trust: bool = False
    """Let SB3 load the teacher, which runs code from its file: for one of yours with classes that SB3 does not ship."""
    temperature: float | None = None
    """τ of softmax(Q / τ) for a teacher of action values; by itself scaled to the gap between the best two."""
    seeds: tuple[int, ...] = (0,)
    """One distillation for each."""
    perturb: bool = False
    """Try the first student under the environment's perturbations and variants too."""
    track: Literal["offline", "online", "trackio", "disabled"] = "offline"
    """Weights & Biases, or trackio."""
    group: str | None = None
    """W&B group; the name of the folder."""
    resume: bool = False
    """Go on where an earlier call stopped: what is done is left alone."""
    overwrite: bool = False
    """Replace earlier runs in the folder."""


def run(experiment: Experiment, config: DistillConfig, env: ModuleType, recipe: Recipe | None = None) -> None:
    """Train or load the teacher, distil it once for each seed, and print the tables.

    The teacher is trained by the environment's own recipe where none is given.
    """
    out, recipe = _own_folder(experiment.out), recipe or env.TEACHER
    group = experiment.group or out.name
    teacher_zip, teacher_seconds, trust = experiment.teacher, None, experiment.trust
    if teacher_zip is None:
        teacher_zip, teacher_seconds = _train(experiment, env, recipe, out, group)
        trust = trust or recipe.own_classes
    teacher = load_teacher(teacher_zip, env=env.ENV_ID, trust=trust, temperature=experiment.temperature)
    for seed in experiment.seeds:
        folder = out / f"seed-{seed}"
        if experiment.resume and (folder / "evaluation.json").is_file():
            print(f"{folder} is done")
            continue
        begun = bool(newest_first(folder / "checkpoint"))
        result = distill(
            teacher,
            env.ENV_ID,
            experiment.student,
            config=config,
            seed=seed,
            tracker=tracker_maker(experiment.track, group=group, teacher=find_zip(teacher_zip)),
            out=folder,
            resume=experiment.resume and begun,
            overwrite=experiment.overwrite or (experiment.resume and not begun),
            progress=True,
        )
        print(f"\n{summary(result.record, result.seconds, folder, teacher_seconds)}\n")
    if experiment.perturb:
        _perturb(teacher, out / f"seed-{experiment.seeds[0]}", config, env)


def _train(experiment: Experiment, env: ModuleType, recipe: Recipe, out: Path, group: str) -> tuple[Path, float | None]:
    zip_path = out / "teacher.zip"
    if zip_path.exists() and experiment.resume:
        return zip_path, None
    if zip_path.exists() and not experiment.overwrite:
        raise RequestError(
            f"expected a new --out, found {zip_path}; add --overwrite or --resume, or use it with --teacher"
        )
    timesteps = experiment.teacher_timesteps or recipe.timesteps
    began = time.perf_counter()
    settings = {"algo": recipe.algo, "timesteps": timesteps, "net_arch": list(recipe.net_arch)}
    with (
        tracked(experiment.track, zip_path, env.ENV_ID, settings, group=group) as tracker,
        Progress(timesteps, description="teacher") as bar,
    ):
        train_teacher(
            env.ENV_ID,
            recipe.algo,
            timesteps,
            recipe.net_arch,
            out=zip_path,
            normalize=recipe.normalize,
            n_envs=recipe.n_envs,
            stop_at=env.SOLVED,
            hyperparameters=recipe.hyperparameters,
            on_step=lambda step: bar.update(step, {}),
            tracker=tracker,
        )
    return zip_path, time.perf_counter() - began


def _perturb(teacher: Any, folder: Path, config: DistillConfig, env: ModuleType) -> None:
    """Compare under perturbations and variants, print the table, and add it to the run's page."""
    student = load_student(folder / "student.safetensors")
    n_episodes = max(min(config.eval_episodes, N_PERTURBED), 2)
    seed = choose_seed(None, n_episodes, teacher, student)
    limit = config.max_episode_steps or None
    found = compare_under(teacher, student, env.ENV_ID, env.PERTURB, n_episodes, seed, max_episode_steps=limit)
    for variant in env.VARIANTS:
        found[variant] = compare_policies(teacher, student, variant, ProofPlan(n_episodes, seed))
    records = {name: comparison.record() for name, comparison in found.items()}
    add_perturbed(folder, records)
    print(table(*perturbation_rows(records)))


def _own_folder(out: Path) -> Path:
    """Return the folder, with one of its own for each run of a W&B sweep."""
    run_id = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
    return out / run_id if run_id else out
