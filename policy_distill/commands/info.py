"""`policy-distill info`: what a file holds, without building an environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from policy_distill.commands.showing.output import Output

if TYPE_CHECKING:
    from policy_distill.student.many import ManyTasks
    from policy_distill.student.memory import Memory


@dataclass(frozen=True)
class Info:
    """Say what a teacher zip or a student file holds: algorithm, spaces, parameters, bytes, provenance.

    Example: policy-distill info student.safetensors
    """

    path: Annotated[Path, tyro.conf.Positional]
    """Teacher zip, student.safetensors or a run folder with one."""
    task: str | None = None
    """Of a student of several tasks, the one to describe: its name, or the id of its environment."""
    trust: bool = False
    """Load a zip with SB3's own loading, which runs code from the file."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Describe and print."""
        from policy_distill.student.file import in_run_folder, is_student_file

        path = in_run_folder(self.path)
        record = _describe_student(path, self.task) if is_student_file(path) else self._describe_teacher()
        Output(self.json).show(record, [*_proof(record), *_rows(record)])
        return 0

    def _describe_teacher(self) -> dict[str, Any]:
        from policy_distill.teachers.describe import describe_zip

        return {"kind": "teacher", **describe_zip(self.path, trust=self.trust)}


def _describe_tasks(student: ManyTasks, path: Path) -> dict[str, Any]:
    """Return what the tasks share, and in short what each is; `--task NAME` says all of one."""
    each = {}
    for name in student.task_names:
        one = student.task(name)
        kept = one.description.retention or {}
        each[name] = {
            "environment": one.origin.env_id,
            "algorithm": one.origin.algorithm,
            "network": one.description.architecture.spec,
            "n_params": one.n_params,
            "retention": kept.get("mean"),
            "verdict": (kept.get("verdict") or {}).get("outcome"),
        }
    return {
        "kind": "student of several tasks",
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "network": student.network,
        "inputs": student.inputs,
        "task_blind": student.task_blind,
        "n_params": student.n_params,
        "n_bytes": student.n_bytes,
        "tasks": each,
        "format_version": student.in_file["format_version"],
    }


def _describe_student(path: Path, task: str | None) -> dict[str, Any]:
    from policy_distill.environments.choice import recorded_in
    from policy_distill.evaluation.view_record import view_record
    from policy_distill.student.many import ManyTasks
    from policy_distill.student.runtime import load_student
    from policy_distill.system.records import dump

    student = load_student(path)
    if isinstance(student, ManyTasks) and task is None:
        return _describe_tasks(student, path)
    student = student if task is None else student.task(task)
    said, origin, known = student.description, student.origin, recorded_in(student)
    architecture = said.architecture
    return {
        "kind": "student",
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "algorithm": origin.algorithm,
        "environment": known.text if known else origin.env_id,
        "env_kwargs": known.to_json()["kwargs"] if known else {},
        "env_wrappers": student.env_wrappers,
        "network": architecture.spec,
        "distribution": said.distribution.family,
        **(dict(view.rows) if (view := view_record(student.view)) else {}),
        "observation_space": said.observation_space,
        "action_space": said.action_space,
        **dump(architecture.sizes),
        **({"critic": student.critic.summary()} if student.critic else {}),
        **({"memory": _remembered(student.plan.memory)} if student.plan.memory.size else {}),
        "normalized_observations": said.normalizer is not None,
        "retention": said.retention,
        "provenance": said.provenance,
        "sha256": said.sha256,
        "format_version": said.format_version,
    }


def _remembered(memory: Memory) -> dict[str, int]:
    """Return how many numbers are carried from step to step, and of these by each kind of layer."""
    found = {"size": memory.size}
    for part in memory.parts:
        found[part.kind] = found.get(part.kind, 0) + part.size
    return found


def _proof(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a student's proof says, as after its run; nothing where its record is of another form."""
    from policy_distill.commands.showing.comparison_tables import proof_lines
    from policy_distill.errors import RequestError
    from policy_distill.evaluation.proof.records import BothFalls, RetentionRecord
    from policy_distill.evaluation.records import EvaluationRecord
    from policy_distill.system.records import load

    kept = record.get("retention") or {}
    try:
        known = load(RetentionRecord, kept, "retention")
        falls = load(BothFalls, kept.get("falls") or {}, "retention, falls")
    except RequestError:
        return []
    complete = known.verdict is not None and known.verdict.complete
    return proof_lines(EvaluationRecord(retention=known, falls=falls)) if complete else []


def _rows(record: dict[str, Any], prefix: str = "") -> Any:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield (f"{prefix}{key}", value if isinstance(value, int) else _text(value))


def _text(value: Any) -> str:
    """Return a value for people; four digits of a number, which --json gives in full."""
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"[:100]
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:100]
