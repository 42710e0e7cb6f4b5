"""Which W&B run a run folder is tracked by, from attempt to attempt: the group is to show one.

In: the folder of W&B's files in a run folder. Out: the id to go on under, and earlier offline attempts out of the way.

Offline W&B cannot go on with a run: each attempt is told all of it, from its start. One whose run is on the server
already, since it was uploaded or was online, keeps that run's id, so that its upload takes that run's place: W&B's
client sends lines with the place where they belong, from the first one on, and the server puts them there. Others are
runs of their own, so that copies of a run folder do not write over each other.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from policy_distill.student.file import write_atomically
from policy_distill.system.files import read_json_object
from policy_distill.system.foreign import asked

UPLOAD = """This folder holds an offline Weights & Biases run, its artifacts' files included. To upload it, from
wherever the run folder lies now, on any machine with policy-distill:

    wandb login
    policy-distill sync RUN_FOLDER

RUN_FOLDER is the folder that this one lies in.
"""

RESUMABLE = ("distill", "finetune")
"""Job types of runs that are resumed in their folder."""

SUPERSEDED = "superseded-"
"""Put before the name of an offline run that a later attempt says again, so that no upload finds it."""

RUN_FILE = "policy_distill.json"
"""Beside W&B's files: which run this folder's is, so that it goes on under the same id when resumed online."""

SYNCED = ".synced"
"""What W&B puts at the end of an uploaded file's name, beside it."""


def earlier(folder: Path, mode: str, job: str) -> dict[str, Any]:
    """Return what makes a run that starts in `mode` go on under the id of the one that the server knows, if any."""
    known = read_notes(folder)
    again = known.get("mode") == mode == "online" or (
        job == known.get("job") and job in RESUMABLE and _on_server(folder, known)
    )
    if not again or not known.get("id"):
        return {}
    # Going on with what the server has is for those who can ask it.
    return {"id": known["id"], **({"resume": "allow"} if mode == "online" else {})}


def noted(out: Path) -> dict[str, str]:
    """Return what a checkpoint keeps of the run that a run folder is tracked by: its id, mode and place."""
    return read_notes(out / "wandb")


def note_again(out: Path, known: dict[str, str]) -> None:
    """Write down again which run a folder is tracked by, where that was lost."""
    if known.get("id", "").isalnum() and not (out / "wandb" / RUN_FILE).exists():
        write_atomically(out / "wandb" / RUN_FILE, json.dumps(known).encode())


def supersede(folder: Path, job: str) -> dict[Path, Path]:
    """Rename the offline run of an earlier attempt: the one that starts now says all of it again.

    Left as it is, an upload would show every attempt as a run of its own, or one over the other.

    Returns:
        The old path for each new one.
    """
    known, moved = read_notes(folder), dict[Path, Path]()
    if known.get("mode") == "offline" and job == known.get("job") and job in RESUMABLE and known.get("id"):
        for path in _offline_folders(folder, known):
            if not path.name.startswith(SUPERSEDED):
                with suppress(OSError):
                    moved[path.rename(path.with_name(SUPERSEDED + path.name))] = path
    return moved


def bring_back(moved: dict[Path, Path]) -> None:
    """Undo `supersede`, where the attempt that was to take the place did not start."""
    for now, before in moved.items():
        with suppress(OSError):
            now.rename(before)


def remember(folder: Path, mode: str, job: str, run: Any, entity: str) -> None:
    """Write down which run this folder's is, and whose, as the environment said when it was asked for."""
    before = read_notes(folder)
    known = {"id": str(run.id), "mode": mode, "job": job, "project": str(asked(run, "project") or "")}
    known["folder"] = str(folder.resolve())
    # Offline runs do not record it; the upload asks for it.
    known["entity"] = entity
    if before.get("id") == known["id"] and _on_server(folder, before):
        known["uploaded"] = "yes"
    write_atomically(folder / RUN_FILE, json.dumps(known).encode())
    if mode == "offline":
        write_atomically(folder / "UPLOAD.txt", UPLOAD.encode())


def read_notes(folder: Path) -> dict[str, str]:
    """Return what was written down of a folder's run; nothing where that is not there."""
    return {name: value for name, value in read_json_object(folder / RUN_FILE).items() if isinstance(value, str)}


def _on_server(folder: Path, known: dict[str, str]) -> bool:
    """Say whether the server knows a run: it was online, or has been uploaded since."""
    if known.get("mode") == "online" or known.get("uploaded"):
        return True
    return any(any(path.glob(f"*{SYNCED}")) for path in _offline_folders(folder, known))


def _offline_folders(folder: Path, known: dict[str, str]) -> list[Path]:
    """Return W&B's folders of a run, those of superseded attempts too."""
    found = [path for path in folder.rglob("*offline-run-*") if path.name.endswith(f"-{known.get('id')}")]
    return sorted(path for path in found if path.is_dir())
