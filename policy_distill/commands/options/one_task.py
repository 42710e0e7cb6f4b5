"""What `export` writes of a student of several tasks: one task, or a folder of all of them.

In: a student as it was loaded. Out: students of one task each, and where each goes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.exporters.table import find_format
from policy_distill.student.many import ManyTasks
from policy_distill.student.runtime import Student, load_student


def places_of(student: Student, task: str | None, out: Path, format: str) -> dict[str, tuple[Student, Path]]:
    """Return what is to be written and where, by task; under an empty name where it is one.

    Raises:
        RequestError: for a task that there is not, or a folder of all that is a file.
    """
    if task is not None:
        return {"": (student.task(task), out)}
    if not isinstance(student, ManyTasks):
        if format == "student":
            raise RequestError(
                "expected a student of several tasks for --format student, found one of a single task; copy its file"
            )
        return {"": (student, out)}
    if out.exists() and not out.is_dir():
        raise RequestError(f"expected a folder for all tasks, found the file {out}; choose another --out, or a --task")
    suffix = ".safetensors" if format == "student" else find_format(format).suffix
    return {name: (student.task(name), out / f"{name}{suffix}") for name in student.task_names}


def write_alone(student: Student, path: Path, *, overwrite: bool) -> dict[str, Any]:
    """Write the student of one task as a file of its own, as a run of that task alone would; return what is said of it.

    Raises:
        RequestError: where something lies there already.
    """
    if path.exists() and (path.is_dir() or not overwrite):
        raise RequestError(f"{path} exists; choose another --out, or add --overwrite")
    student.save(path)
    return {"path": str(path), "format": "student", "bytes": path.stat().st_size}


@contextmanager
def alone(path: Path, task: str | None) -> Iterator[Path]:
    """Yield the file of one task of a student at `path`, which lies there for as long; `path` itself without a task.

    Raises:
        RequestError: for a task that there is not.
    """
    if task is None:
        yield path
        return
    student = load_student(path, runtime="numpy").task(task)
    with tempfile.TemporaryDirectory() as folder:
        yield student.save(Path(folder) / "student.safetensors")
