"""Keeps the best student where the run folder can no longer be written: a full disk, a folder that went away.

In: a session in the middle of its run, and an error of the operating system. Out: a student file somewhere else, and a
`RunFault` that names it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policy_distill.errors import RequestError, RunFault
from policy_distill.run.folder import RunFolder
from policy_distill.run.judging.selection import Selection
from policy_distill.run.provenance import RunIdentity, provenance_of
from policy_distill.run.session import Session


@contextmanager
def keeping_student(
    session: Session, selection: Selection, folder: RunFolder | None, identity: RunIdentity
) -> Iterator[None]:
    """Within, an `OSError` becomes a fault that says where the best student so far was kept.

    Raises:
        RequestError: where the folder could not be written before there was a student.
        RunFault: where it could not be written later.
    """
    try:
        yield
    except OSError as error:
        if folder is None:
            raise
        reason = f"the run folder {folder.path} cannot be written ({error.strerror or error})"
        if not session.has_student:
            raise RequestError(f"{reason}; free some space, or choose another --out") from error
        kept = _keep(session, selection, folder, identity)
        where = f"was kept at {kept}" if kept else "could not be kept anywhere else either"
        raise RunFault(
            f"{reason}; the best student of the first {session.stream.env_steps:,} steps {where}. Free some space and "
            "go on with --resume, or choose another --out"
        ) from error


def _keep(session: Session, selection: Selection, folder: RunFolder, identity: RunIdentity) -> Path | None:
    selection.take_best()
    stream = session.stream
    student = session.learner.student(provenance_of(identity, stream.teacher, stream.env_steps).to_json())
    for place in (Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
        path = _unused(place, folder.path.resolve().name)
        if folder.path.resolve() in path.resolve().parents:
            continue
        try:
            return student.save(path)
        except OSError:
            continue
    return None


def _unused(place: Path, name: str) -> Path:
    """Return a path that nothing is at."""
    number = 0
    while True:
        path = place / f"{name}-rescued{f'-{number}' if number else ''}.safetensors"
        if not path.exists():
            return path
        number += 1
