"""Where an artefact goes: whether that place may be written, and the last step, which puts it there.

In: paths. Out: an artefact in its place, whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from policy_distill.errors import RequestError
from policy_distill.exporters.table import Format

WRITTEN = frozenset("policy.c policy.h policy.json policy.py policy_test.c weights.npz __pycache__".split())
"""What the folders of exports hold."""


def check_target(path: Path, format: Format, overwrite: bool) -> None:
    """Check that a path may be written.

    Raises:
        RequestError: where something lies there already, where a folder is named for a file or a file for a folder,
            where nothing can be written, or where other files than an artefact's would be lost.
    """
    try:
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        path.exists()
    except OSError as error:
        raise RequestError(f"{path} cannot be written ({error.strerror}); choose another --out") from None
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise RequestError(f"expected a folder that can be written to, found {parent}; choose another --out")
    if not format.suffix and path.exists() and not path.is_dir():
        raise RequestError(f"expected a folder for {format.artefact}, found the file {path}; choose another --out")
    if format.suffix and path.is_dir():
        raise RequestError(f"expected a file for {format.artefact}, found the folder {path}; name a file in it")
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not overwrite:
        raise RequestError(f"{path} exists; choose another --out, or add --overwrite")
    if taken and path.is_dir() and not (path / "policy.json").exists():
        raise RequestError(f"{path} holds something other than an exported policy; choose another --out")
    others = sorted({file.name for file in path.iterdir()} - WRITTEN) if taken and path.is_dir() else []
    if others:
        raise RequestError(
            f"--overwrite would delete {', '.join(others[:3])} in {path}; move these files elsewhere first"
        )


def move(source: Path, path: Path) -> None:
    """Put a finished artefact in its place, whole or not at all."""
    # Beside the target first: only within one file system is the last step a single one.
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(beside)
        shutil.move(source, beside)
        if path.is_dir():
            _remove(path)
        beside.replace(path)
    except OSError as error:
        raise RequestError(f"{path} cannot be written ({error.strerror or error}); choose another --out") from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def bytes_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
