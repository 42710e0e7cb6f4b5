"""Where checkpoints lie: one file for each, named by its step, the newest few of them kept.

In: what a checkpoint holds. Out: files that are written whole or not at all, and found newest first.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.file import read_sealed, write_sealed
from policy_distill.system.records import OBJECT, TEXT, Each, part

PATTERN = "step-*.safetensors"
BROKEN = ".broken"
"""Put at the end of the name of a file that could not be read."""
READ_BACK = 2**26
"""Bytes of a checkpoint that is read again before it counts; of a larger one that would take as long as to write it."""


@dataclass(frozen=True)
class OfRun:
    """What a checkpoint says beside what its run depends on."""

    identity: Mapping[str, Any] = part(OBJECT, needed=True)
    """What a resumed run must share, as of the version that wrote it: a `RunIdentity`, and `made_with`."""
    tracker: Mapping[str, str] = part(Each(TEXT), needed=True)
    """What trackers noted, to go on in the same run."""


def newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder."""
    return sorted(folder.glob(PATTERN), reverse=True)


def write_checkpoint(
    folder: Path, step: int, keep: int, tensors: dict[str, np.ndarray], metadata: Mapping[str, Any]
) -> Path:
    """Write the checkpoint of `step` environment steps, then remove all but the newest `keep`.

    Raises:
        OSError: where it cannot be written, or not be read again; then those before stay.
    """
    path = folder / f"step-{step:012d}.safetensors"
    write_sealed(path, tensors, metadata, _read_back)
    for old in newest_first(folder)[keep:]:
        old.unlink(missing_ok=True)
    return path


def _read_back(path: Path) -> None:
    if path.stat().st_size > READ_BACK:
        return
    try:
        read_sealed(path)
    except RequestError as error:
        # As a disk that fails: whoever holds the student keeps it elsewhere.
        raise OSError(errno.EIO, f"a checkpoint cannot be read again: {error}") from error


def set_aside(path: Path) -> None:
    """Rename a broken checkpoint, so that it is not looked at again; one that may not be read stays: it may be good."""
    if not os.access(path, os.R_OK):
        return
    with suppress(OSError):
        os.replace(path, path.with_name(path.name + BROKEN))


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was in the middle of writing."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            path.unlink()
