"""What a run begins with that goes on from a student: the student, and who labels beside it.

In: what was handed over. Out: a `Student`, a `Teacher`, and a digest that tells the student from any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.run.finetuning.form import with_spread
from policy_distill.student.runtime import Student, load_student
from policy_distill.teachers.kinds.student import StudentTeacher
from policy_distill.teachers.sources import as_teacher, in_run_folder


def as_student(source: Any) -> Student:
    """Return a student, of its file or of a run folder's.

    Raises:
        RequestError: for what is none.
    """
    if isinstance(source, Student):
        return source
    if isinstance(source, str | Path):
        return load_student(in_run_folder(source))
    raise RequestError(
        f"expected a student or the path of one, found {type(source).__name__}; open its file with load_student"
    )


def teacher_for(origin: Student, teacher: Any, env: Any, env_kwargs: Mapping[str, Any] | None) -> Teacher:
    """Return who labels what the student comes to: its teacher, or where none is given the student as it came.

    Raises:
        RequestError: for a teacher of another kind of distribution.
    """
    if teacher is None:
        # One that was deployed without log σ can label all the same: only its deviation from itself would need it.
        return StudentTeacher(Student.of(with_spread(origin.record, 0.0)))
    found = as_teacher(teacher, env, env_kwargs)
    own, other = origin.description.distribution.family, found.family.name
    if own != other:
        raise RequestError(
            f"expected a teacher with the student's kind of distribution ({own}), found {other}; name the teacher that "
            "it was distilled from, or leave --teacher out"
        )
    return found


def digest_of(student: Student) -> str:
    """Return the SHA-256 of a student's weights."""
    digest = hashlib.sha256()
    for name, array in sorted(student.tensors.items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()
