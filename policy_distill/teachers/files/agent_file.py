"""Which file an agent is: a zip, or a student that teaches.

In: a path that somebody named. Out: the one file that is meant.
"""

from __future__ import annotations

from pathlib import Path

from policy_distill.student.file import in_run_folder, is_student_file
from policy_distill.system.hub.place import local
from policy_distill.teachers.files.zip_file import find_zip


def find_agent(source: str | Path) -> Path:
    """Return the student that `source` is, or that of a run folder without a zip; else what `find_zip` finds.

    Raises:
        RequestError: as of `find_zip`.
    """
    source = Path(local(source))
    inside = in_run_folder(source)
    if is_student_file(inside) and (inside == source or not any(source.glob("*.zip"))):
        return inside
    return find_zip(source)
