"""Folders as bytes: what machines without a common disk hand each other.

In: files and folders. Out: a packed archive of bounded size, and the same files somewhere else.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from policy_distill.errors import RequestError
from policy_distill.system.lock import NAME

MAX_BYTES = 2**30
"""Of what is handed over at once: it lies in the memory of both machines."""


def pack_files(paths: Iterable[Path], beside: Path) -> bytes:
    """Return files and folders below `beside` as an archive, with what links lead to; locks are left out.

    Raises:
        RequestError: where they are too large.
    """
    files = [one for path in paths for one in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    plain = [one for one in files if one.is_file() and one.name != NAME]
    size = sum(one.stat().st_size for one in plain)
    if size > MAX_BYTES:
        raise RequestError(
            f"expected at most {MAX_BYTES:,} bytes to hand to another machine, found {size:,} in {beside}; let all "
            "machines share a folder, with --storage shared"
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1, dereference=True) as archive:
        for one in plain:
            # A process may be at work in the folder, and put another file in the place of this one.
            with suppress(FileNotFoundError):
                archive.add(one, one.relative_to(beside).as_posix(), recursive=False)
    return buffer.getvalue()


def unpack_files(data: bytes, folder: Path) -> Path:
    """Write the files of an archive below `folder`, and nowhere else; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def replace_folder(data: bytes, folder: Path) -> None:
    """Put the files of an archive in the place of a folder, whole or not at all."""
    fresh = folder.with_name(f".{folder.name}.arriving")
    shutil.rmtree(fresh, ignore_errors=True)
    unpack_files(data, fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
