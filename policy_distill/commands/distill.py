"""`policy-distill distill`: the main job."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.comparison_tables import proof_lines, said_beside, undefined_or
from policy_distill.commands.output import Output, interval_text, table
from policy_distill.commands.tracking_options import TrackName
from policy_distill.config import DistillConfig
from policy_distill.errors import one_line
from policy_distill.evaluation.policy_records import PolicyRecord
from policy_distill.evaluation.records import EvaluationRecord, FidelityRecord
from policy_distill.system.answers import answer
from policy_distill.system.interrupts import Interrupted, terminated_like_interrupted
from policy_distill.system.wording import compression_text, digits


@dataclass(frozen=True)
class Distill:
    """Distil a teacher into a compact student, prove what it keeps, and write the run folder.

    Example: policy-distill distill --teacher LunarLander-v2.zip --env LunarLander-v3 --out runs/lander
    """

    teacher: Path
    """Stable-Baselines3 zip, or a folder with one; what belongs to it is found by itself (docs/teachers.md)."""
    out: Path
    """Run folder: config.json, metrics.jsonl, student.safetensors, evaluation.json."""
    env: str | None = None
    """Gymnasium id of the environment, such as Pendulum-v1 or package:Id-v0; by itself the one that the teacher was
    trained in."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment's constructor, such as gravity:-5.0 enable_wind:True; values are Python literals.
    They come before those that the policy was trained with."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    student: str = "mlp:32,32"
    """The student's network: mlp:32,32 for two hidden layers of 32, linear for none, cnn:16,32 for images
    (convolutions of 16 and 32 channels)."""
    vecnormalize: Path | None = None
    """Observation statistics of the teacher, where they do not lie with its zip; none for a teacher without."""
    wrapper: tuple[str, ...] = ()
    """Environment wrappers of a teacher, such as FrameStack:n_stack=4; those in the Zoo's config.yml are found by
    themselves; none for no wrapper."""
    temperature: float | None = None
    """Temperature of softmax(Q / T) for DQN and QR-DQN teachers; by itself scaled to the gap between actions."""
    algo: str = "auto"
    """The teacher's algorithm; auto finds it from the file."""
    trust: bool = False
    """Load the teacher with SB3's own loading, which runs code from the file."""
    track: TrackName = "offline"
    """Weights & Biases: offline needs no account; online goes offline without a key. trackio is a dashboard on this
    machine (extra trackio). NAME is a tracker of an installed package. metrics.jsonl is always there."""
    project: str | None = None
    """W&B project; WANDB_PROJECT, or policy-distill."""
    group: str | None = None
    """W&B group; the name of the run folder."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    log_gradients: bool = False
    """Log histograms of the gradients to W&B, one of each layer for each rollout."""
    video: bool = False
    """Record teacher and student side by side for report.html; needs the extra video."""
    resume: bool = False
    """Go on from the checkpoint in --out."""
    overwrite: bool = False
    """Replace the run in --out."""
    json: Annotated[bool, tyro.conf.arg(help="Print evaluation.json on stdout and nothing else.")] = False
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(default_factory=DistillConfig)

    def run(self) -> int:
        """Distil and show the table."""
        # From the first moment on: what follows is a second of imports, and a teacher to load.
        with terminated_like_interrupted():
            try:
                return self._distil()
            except KeyboardInterrupt as interrupt:
                going_on = f"; go on with: {resume_command()}" if self._kept(interrupt) else ""
                print(f"{str(interrupt) or 'interrupted'}{going_on}", file=sys.stderr)
                return 130

    def _kept(self, interrupt: KeyboardInterrupt) -> bool:
        """Say whether an interrupted run can be gone on with."""
        if isinstance(interrupt, Interrupted):
            return interrupt.saved
        from policy_distill.run.folder import RunFolder

        # Stopped at once: a checkpoint may be of the run that was to be replaced.
        return not self.overwrite and RunFolder(self.out).resumable

    def _distil(self) -> int:
        from policy_distill.commands.policies import find_env, say_applied
        from policy_distill.environments.names import parse_kwargs
        from policy_distill.run.distill import distill
        from policy_distill.teachers.files.zip_file import find_zip
        from policy_distill.teachers.load import load_teacher
        from policy_distill.tracking.table import check_track, tracker_maker

        check_track(self.track)
        teacher = load_teacher(
            self.teacher,
            algo=self.algo,
            vecnormalize=self.vecnormalize,
            trust=self.trust,
            wrappers=self.wrapper or None,
            temperature=self.temperature,
            env_kwargs=parse_kwargs(self.env_kwargs),
        )
        named = {"env_kwargs": self.env_kwargs, "gym_packages": self.gym_packages}
        env = find_env(self.env, self.teacher, teacher, **named)
        say_applied(teacher)
        result = distill(
            teacher,
            env,
            self.student,
            config=self.config,
            tracker=tracker_maker(
                self.track,
                project=self.project,
                group=self.group,
                tags=self.tags,
                teacher=find_zip(self.teacher),
                gradients=self.log_gradients,
            ),
            out=self.out,
            resume=self.resume,
            overwrite=self.overwrite,
            progress=not self.json,
            video=self.video,
        )
        Output(self.json).show(result.evaluation, [])
        if not self.json:
            answer(summary(result.record, result.seconds, self.out))
        return 0


def summary(
    record: EvaluationRecord, seconds: dict[str, float], out: Path | None, teacher_seconds: float | None = None
) -> str:
    """Return the tables that end a run: returns, what was kept, sizes, where the time went, where the files are."""
    played = {"teacher": record.teacher, "student": record.student, "random": record.random}
    policies = {name: one or PolicyRecord() for name, one in played.items()}
    rows = [(name, _interval(one), *_sizes(one)) for name, one in policies.items()]
    worst = {name: policies[name].returns.worst5 for name in ("teacher", "student")}
    proof = said_beside(record.paired, record.teacher_sampled)
    fidelity, sizes = record.fidelity or FidelityRecord(), [policies[name].n_params or 0 for name in worst]
    lines: list[tuple[Any, ...]] = [
        *([*proof_lines(record, record.seed), *proof] if record.retention else [("retention", "not measured")]),
        ("worst 5%", ", ".join(f"{name} {digits(value)}" for name, value in worst.items() if value is not None)),
        ("agreement", undefined_or(fidelity.agreement)),
        ("KL, nats", undefined_or(fidelity.kl)),
        ("compression", compression_text(*sizes)),
        ("environment steps", record.env_steps),
    ]
    stages = {"training the teacher": teacher_seconds} if teacher_seconds is not None else {}
    names = {
        "collect": "collecting",
        "environment": "of them in the environment",
        "label": "labelling",
        "train": "training the student",
        "evaluate": "evaluating",
        "teacher_sampled": "sampling the teacher, beside",
    }
    stages |= {name: seconds[stage] for stage, name in names.items() if stage in seconds}
    times: list[tuple[Any, ...]] = [(f"seconds {name}", f"{value:.1f}") for name, value in stages.items()]
    title = (f"{record.env_id}, {record.n_episodes} episodes", "return IQM [95%]", "parameters", "bytes")
    parts = [table(rows, title), table([*(line for line in lines if line[1] != ""), *times])]
    if out:
        names_of_files = ("student.safetensors", "evaluation.json", "metrics.jsonl", "report.html", "wandb")
        parts.append("\n".join(one_line(str(out / name)) for name in names_of_files if (out / name).exists()))
    return "\n\n".join(parts)


def resume_command() -> str:
    """Return the command line that goes on from the checkpoint."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--overwrite"]
    return shlex.join(["policy-distill", *arguments, *(() if "--resume" in arguments else ("--resume",))])


def _interval(policy: PolicyRecord) -> str:
    return "not measured" if policy.returns.iqm is None else interval_text(policy.returns)


def _sizes(policy: PolicyRecord) -> tuple[Any, ...]:
    return ("", "") if policy.n_params is None else (policy.n_params, policy.n_bytes)
