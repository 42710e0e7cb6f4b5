"""How a fine-tuning was asked for, in the words of the command line: its report says how to make it again.

In: what was handed over. Out: JSON values for the run folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.interfaces.policies import Teacher
from policy_distill.run.provenance import request_of
from policy_distill.student.file import in_run_folder


def asked_again(student: Any, teacher: Teacher | None, config: DistillConfig) -> dict[str, Any]:
    """Return the `student`'s path, the `settings` that are not as they are by themselves, and how `teacher` is loaded.

    `missing` says why there are no such words; `config` is as it was asked for, before the student had its say.
    """
    if file_of(student) is None:
        return {"missing": "the student that it started from is not a file"}
    defaults = type(config)().to_json()
    changed = {name: value for name, value in config.to_json().items() if value != defaults[name]}
    return {**(request_of(teacher) if teacher is not None else {}), "student": str(student), "settings": changed}


def file_of(student: Any) -> Path | None:
    """Return the file of a student that was named by its path or its run folder; None for a live one."""
    return in_run_folder(student) if isinstance(student, str | Path) else None
