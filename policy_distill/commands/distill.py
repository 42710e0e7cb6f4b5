"""`policy-distill distill`: the main job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.options.from_teacher import FromTeacher
from policy_distill.commands.showing.comparison_tables import (
    proof_lines,
    said_beside,
    teacher_lines,
    undefined_or,
)
from policy_distill.commands.showing.output import Output, interval_text, table
from policy_distill.errors import RequestError, one_line
from policy_distill.evaluation.policy_records import PolicyRecord
from policy_distill.evaluation.records import EvaluationRecord, FidelityRecord, LeftOutRecord
from policy_distill.run.tasks.settings import TaskSettings
from policy_distill.system.answers import answer
from policy_distill.system.wording import compression_text, digits
from policy_distill.system.workers.settings import WorkerSettings


@dataclass(frozen=True, kw_only=True)
class Distill(FromTeacher):
    """Distil a teacher into a compact student, prove what it keeps, and write the run folder.

    Example: policy-distill distill --teacher LunarLander-v2.zip --env LunarLander-v3 --out runs/lander

    With --tasks several teachers, each in a task of its own, become one student (docs/tasks.md).
    """

    teacher: tuple[Path, ...] = ()
    """Stable-Baselines3 zip, or a folder with one; what belongs to it is found too (docs/teachers.md). A student
    (student.safetensors, or its run folder) may teach too, and several agents together as one."""
    tasks: Path | None = None
    """A YAML file in place of --teacher and --env: a list named tasks, each with path (or teacher) and env."""
    sharing: Annotated[TaskSettings, tyro.conf.arg(name="")] = field(default_factory=TaskSettings)
    student: str = "mlp:32,32"
    """The student's network: mlp:32,32 for two hidden layers of 32, linear for none, cnn:16,32 for images (convolutions
    of 16 and 32 channels), cnn:16,32+mlp:64 with a hidden layer after them, where the vectors of a Dict join; gru:16
    for 16 recurrent units, history:4+mlp:32 for the last 4 observations and history:4a+mlp:32 for the actions between
    them too, where a student must remember; tree:32 for a decision tree of at most 32 leaves, oblique_tree:16 for one
    that asks about weighted sums. For several tasks: mlp:64,64 for a shared body with a head for each,
    shared:64,64+mlp:16 for a layer of 16 more for each task."""
    log_gradients: bool = False
    """Log histograms of the gradients to W&B, one of each layer for each rollout."""
    video: bool = False
    """Record teacher and student side by side for report.html; needs the extra video."""
    contexts: Path | None = None
    """A YAML file of contexts, as for compare --contexts: states are collected under the seen ones, in turns with the
    unchanged environment, where the student is proven."""
    staff: Annotated[WorkerSettings, tyro.conf.arg(name="")] = field(default_factory=WorkerSettings)
    prove: bool = True
    """--no-prove ends with the student that the selection episodes chose, without a proof; --resume proves it later."""
    json: Annotated[bool, tyro.conf.arg(help="Print evaluation.json on stdout and nothing else.")] = False

    def make(self) -> int:
        """Distil and show the table."""
        if self.tasks is not None:
            from policy_distill.commands.many_tasks import distill_listed

            if self.contexts is not None:
                raise RequestError("expected --contexts or --tasks, found both; leave one out")
            return distill_listed(self)
        if self.sharing != TaskSettings():
            raise RequestError(
                "expected --tasks beside --task-blind, --inputs or --balance, found none; add --tasks, or leave them "
                "out"
            )
        from policy_distill.environments.perturbations.contexts import collected_under, read_contexts
        from policy_distill.run.distill import distill

        config = self.config
        if self.contexts is not None:
            if config.collect_perturb:
                raise RequestError("expected --contexts or --collect-perturb, found both; leave one out")
            config = replace(config, collect_perturb=collected_under(read_contexts(self.contexts)))
        teacher, env = self.loaded()
        result = distill(
            teacher,
            env,
            self.student,
            config=config,
            tracker=self.tracker(gradients=self.log_gradients),
            out=self.out,
            resume=self.resume,
            overwrite=self.overwrite,
            progress=not self.json,
            video=self.video,
            workers=self.staff,
            prove=self.prove,
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
        *teacher_lines(record),
        ("worst 5%", ", ".join(f"{name} {digits(value)}" for name, value in worst.items() if value is not None)),
        ("agreement", undefined_or(fidelity.agreement)),
        ("KL, nats", undefined_or(fidelity.kl)),
        *(record.view.rows if record.view else []),
        ("compression", compression_text(*sizes)),
        *([("left out of the data", left_out_text(record.left_out))] if record.left_out else []),
        ("environment steps", record.env_steps),
        *([("stopped", str(record.stop))] if record.stop else []),
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


def left_out_text(found: LeftOutRecord) -> str:
    """Return in words what of the teacher's own episodes nobody learnt from."""
    returning = "" if found.best is None else f", which returned {digits(found.best)} at most"
    part = f"{found.n_left_out} of {found.n_episodes} whole episodes that the teacher acted"
    return f"{part} ({found.n_states:,} states){returning}"


def _interval(policy: PolicyRecord) -> str:
    return "not measured" if policy.returns.iqm is None else interval_text(policy.returns)


def _sizes(policy: PolicyRecord) -> tuple[Any, ...]:
    return ("", "") if policy.n_params is None else (policy.n_params, policy.n_bytes)
