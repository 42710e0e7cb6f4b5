"""The run folder: what lies where, and when a folder may be used.

config.json  metrics.jsonl  student.safetensors  evaluation.json  report.html  checkpoint/  wandb/
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.run.checkpoints.files import newest_first, remove_unfinished
from policy_distill.student.file import write_atomically
from policy_distill.system.lock import NAME, FolderLock

CONTENTS = (
    "config.json",
    "metrics.jsonl",
    "student.safetensors",
    "evaluation.json",
    "report.html",
    "video.mp4",
    "perturbed.json",
    "contexts.json",
    "comparison.json",
    "compression.json",
    "students",
    "checkpoint",
    "wandb",
    "trackio.json",
)


@dataclass(frozen=True)
class RunFolder:
    """A folder that one run owns."""

    path: Path
    """The folder; exists."""
    lock: FolderLock | None = None
    """What keeps other processes out, until `close`."""
    request: dict[str, Any] = field(default_factory=dict)
    """The options of the command line that load the run's teacher, for the report."""

    def close(self) -> None:
        """Let other processes have the folder."""
        if self.lock is not None:
            self.lock.close()

    @property
    def student(self) -> Path:
        """The distilled student."""
        return self.path / "student.safetensors"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        """The proof."""
        return self.path / "evaluation.json"

    @property
    def video(self) -> Path:
        """Teacher and student side by side, where asked for."""
        return self.path / "video.mp4"

    @property
    def checkpoints(self) -> Path:
        """The folder of what a resumed run starts from."""
        return self.path / "checkpoint"

    @property
    def resumable(self) -> bool:
        """True where there is a checkpoint to go on from."""
        return bool(newest_first(self.checkpoints))

    @property
    def begun(self) -> bool:
        """True where a run was stopped before its first checkpoint: nothing is lost by starting it anew."""
        left = list(self.checkpoints.glob("step-*"))
        settings = [*self.path.glob("config.json"), *self.path.glob(".config.json.*.tmp")]
        return bool(settings) and not left and not self.student.exists()

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Write one JSON file of the folder, strictly: NaN is a mistake of ours."""
        write_atomically(self.path / name, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode())


def open_run_folder(
    path: str | Path, request: dict[str, Any] | None = None, *, resume: bool = False, overwrite: bool = False
) -> RunFolder:
    """Return a folder that is ready for a run.

    Args:
        path: made where it does not exist.
        request: the options of the command line that load the run's teacher.
        resume: go on from the newest checkpoint in it.
        overwrite: remove what a run left there; other files stay.

    Raises:
        RequestError: for a folder in use without either option, a file in its place, or one that cannot be written.
    """
    folder = RunFolder(Path(path), request=request or {})
    if resume and overwrite:
        raise RequestError("expected --resume or --overwrite, found both; choose one")
    if folder.path.exists() and not folder.path.is_dir():
        raise RequestError(f"expected a folder for --out, found a file at {folder.path}; choose another")
    lock = _held_again(folder) if resume else _held_empty(folder.path, overwrite=overwrite)
    return replace(folder, lock=lock)


def _held_again(folder: RunFolder) -> FolderLock:
    """Lock a folder whose run goes on, without what was left half written in it."""
    if not folder.resumable and not folder.begun:
        raise RequestError(
            f"expected a checkpoint to resume in {folder.checkpoints}, found none; start without --resume"
        )
    try:
        lock = FolderLock(folder.path)
    except OSError as error:
        raise RequestError(
            f"the folder {folder.path} cannot be written ({error.strerror}); check its permissions"
        ) from None
    remove_unfinished(folder.path)
    return lock


def _held_empty(path: Path, *, overwrite: bool) -> FolderLock:
    """Make and lock the folder of a new run, without what an earlier one left there."""
    if path.is_dir() and any(member.name != NAME for member in path.iterdir()) and not overwrite:
        raise RequestError(
            f"expected an empty --out, found files in {path}; add --resume or --overwrite, or choose another"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise RequestError(f"the folder {path} cannot be written; choose another --out")
        lock = FolderLock(path)
    except OSError as error:
        raise RequestError(f"cannot make the folder {path}: {error.strerror}; choose another --out") from None
    try:
        _clear(path)
    except OSError as error:
        lock.close()
        raise RequestError(f"cannot clear the folder {path}: {error.strerror}; choose another --out") from None
    return lock


def _clear(path: Path) -> None:
    for name in CONTENTS:
        member = path / name
        if member.is_dir() and not member.is_symlink():
            shutil.rmtree(member)
        else:
            member.unlink(missing_ok=True)
