"""`policy-distill info`: what a file holds, without building an environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.showing.output import Output


@dataclass(frozen=True)
class Info:
    """Print what a teacher zip or a student file holds: algorithm, spaces, parameters, bytes, provenance.

    Example: policy-distill info student.safetensors
    """

    path: Annotated[Path, tyro.conf.Positional]
    """Teacher zip, student.safetensors or a run folder with one."""
    task: str | None = None
    """The task to describe, for a student of several tasks: its name, or the id of its environment."""
    trust: bool = False
    """Load a zip with SB3's own loading, which runs code from the file."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Describe and print."""
        from policy_distill.commands.showing.student_rows import rows_of
        from policy_distill.student.file import in_run_folder, is_student_file

        path = in_run_folder(self.path)
        record = _describe_student(path, self.task) if is_student_file(path) else self._describe_teacher()
        Output(self.json).show(record, [*_proof(record), *rows_of(record)])
        return 0

    def _describe_teacher(self) -> dict[str, Any]:
        from policy_distill.teachers.describe import describe_zip

        return {"kind": "teacher", **describe_zip(self.path, trust=self.trust)}


def _describe_student(path: Path, task: str | None) -> dict[str, Any]:
    from policy_distill.commands.showing.student_rows import describe_student, describe_tasks
    from policy_distill.environments.choice import recorded_in
    from policy_distill.student.many import ManyTasks
    from policy_distill.student.runtime import load_student

    student = load_student(path)
    if isinstance(student, ManyTasks) and task is None:
        return describe_tasks(path, student)
    student = student if task is None else student.task(task)
    known = recorded_in(student)
    if known is None:
        return describe_student(path, student)
    return describe_student(path, student, known.text, known.to_json()["kwargs"])


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
