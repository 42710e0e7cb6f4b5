"""Loads whatever the user calls a policy: a student file or a teacher zip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.student_file import is_student_file


def load_policy(path: Path, env: str | None = None, *, vecnormalize: Path | None = None, trust: bool = False) -> Any:
    """Return a student for a student file, else a teacher.

    Raises:
        RequestError: where the file is neither, or is broken.
    """
    if is_student_file(path):
        from policy_distill.runtime import load_student

        return load_student(path)
    from policy_distill.teachers.load import load_teacher

    return load_teacher(path, env=env, vecnormalize=vecnormalize, trust=trust)
