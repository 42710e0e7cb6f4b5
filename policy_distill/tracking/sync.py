"""Uploads offline W&B runs, wherever their folders lie now.

In: a folder with run folders in it. Out: each run on the server, artifacts and lineage included.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from policy_distill.errors import RunFault
from policy_distill.student.file import write_atomically
from policy_distill.tracking.attempts import RUN_FILE, SYNCED, read_notes
from policy_distill.tracking.offline_file import prepare


@dataclass(frozen=True)
class OfflineRun:
    """One offline run in a run folder."""

    path: Path
    """`offline-run-…`, W&B's folder of it."""
    folder: Path
    """The `wandb` folder of the run folder."""

    @property
    def file(self) -> Path:
        """The record of it."""
        return next(iter(sorted(self.path.glob("run-*.wandb"))))

    @property
    def synced(self) -> bool:
        """True where it has been uploaded."""
        return bool(list(self.path.glob(f"*{SYNCED}")))

    @property
    def command(self) -> list[str]:
        """The command that uploads it."""
        entity = os.environ.get("WANDB_ENTITY") or read_notes(self.folder).get("entity")
        chosen = ["--entity", entity] if entity else []
        return [sys.executable, "-m", "wandb", "sync", *chosen, str(self.path)]


def offline_runs(folder: Path) -> list[OfflineRun]:
    """Return the offline runs in a folder and below it, by time."""
    found = sorted(folder.rglob("offline-run-*/run-*.wandb"))
    return [OfflineRun(path.parent, _data_folder(path.parent)) for path in found]


def sync(run: OfflineRun) -> None:
    """Upload one run.

    Raises:
        RunFault: where W&B could not.
    """
    make_ready(run)
    done = subprocess.run(run.command, capture_output=True, text=True, check=False)
    if done.returncode or not run.synced:
        said = " ".join((done.stdout + done.stderr).split())[-400:]
        raise RunFault(f"W&B could not upload {run.path}: {said}; try again, or run: {shlex.join(run.command)}")
    known = read_notes(run.folder)
    if run.path.name.endswith(f"-{known.get('id')}"):
        write_atomically(run.folder / RUN_FILE, json.dumps({**known, "uploaded": "yes"}).encode())


def make_ready(run: OfflineRun) -> None:
    """Let the run's record point at its files where they lie now."""
    known = read_notes(run.folder)
    here = str(run.folder.resolve())
    prepare(run.file, known.get("folder", here), here)
    write_atomically(run.folder / RUN_FILE, json.dumps({**known, "folder": here}).encode())


def _data_folder(path: Path) -> Path:
    """Return the folder that `RUN_FILE` lies in: W&B may put one of its own name between."""
    return next((parent for parent in path.parents if (parent / RUN_FILE).is_file()), path.parent)
