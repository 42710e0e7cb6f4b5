"""Opens the zip that Stable-Baselines3 saves, without running anything from it.

In: a path. Out: a `SavedAgent` of plain data, stand-ins and weights.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from policy_distill.errors import RequestError
from policy_distill.system.files import open_plain
from policy_distill.system.hub.place import local
from policy_distill.teachers.files.bounded_zip import BoundedZip
from policy_distill.teachers.files.companions import is_of_a_run, made_by_callback
from policy_distill.teachers.files.pickle_machine import Budget
from policy_distill.teachers.files.safe_load import safe_unpickle
from policy_distill.teachers.files.sbx import NAMES, of_stable_baselines3, says_sbx
from policy_distill.teachers.files.weights import read_weights

LOG = logging.getLogger("policy_distill")
MAX_DATA = 2**24
"""Bytes of `data`, the algorithm's attributes as JSON: kilobytes, or megabytes where it holds the last images."""
NEEDED = {"data", "policy.pth"}
"""Members of every agent's zip."""
MAX_ENTRIES = 10_000
"""Attributes of an algorithm."""


@dataclass(frozen=True)
class SavedAgent:
    """What a zip holds."""

    path: Path
    """Where it was."""
    data: dict[str, Any]
    """The algorithm's attributes; pickled ones as safely read."""
    weights: dict[str, torch.Tensor]
    """The policy's state dict."""
    sha256: str
    """Of the whole file."""
    n_bytes: int
    """Of the whole file."""
    versions: dict[str, str]
    """What the file says it was written with."""


def read_zip(path: Path) -> SavedAgent:
    """Read an agent's zip.

    Raises:
        RequestError: for a missing, foreign, truncated or damaged file, or one with an object outside the allow-list.
    """
    try:
        file, n_bytes = open_plain(path, "a teacher's zip")
        with file:
            start = file.read(4)
            if start != b"PK\x03\x04":
                raise RequestError(
                    f"{path} is not a zip: expected an agent that Stable-Baselines3 saved, found {start!r}"
                )
            archive = BoundedZip(file, n_bytes, str(path))
            text = archive.read("data") if "data" in archive.names else b""
            of_sbx = says_sbx(text)
            for needed in sorted(NEEDED - {"policy.pth"} if of_sbx else NEEDED):
                if needed not in archive.names:
                    raise RequestError(f"{path} is a zip without {needed!r}: not an agent that Stable-Baselines3 saved")
            data = _read_data(path, text, NAMES if of_sbx else ())
            weights = {} if of_sbx else read_weights(archive.read("policy.pth"), f"{path}, policy.pth,")
            versions = _read_versions(archive)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from None
    found = SavedAgent(path, data, weights, sha256, n_bytes, versions)
    return of_stable_baselines3(found, text) if of_sbx else found


def find_zip(source: Path) -> Path:
    """Return the zip that `source` means: itself, with `.zip` added, or the only one in a folder.

    Raises:
        RequestError: where there is none, or more than one.
    """
    try:
        return _find(Path(local(source)))
    except OSError as error:
        raise RequestError(
            f"expected a teacher's zip, found {source}, which cannot be read ({error.strerror}); check the path"
        ) from None


def _find(source: Path) -> Path:
    if source.is_dir():
        return _agent_in(source)
    if source.is_file():
        return source
    if source.suffix != ".zip" and source.with_name(source.name + ".zip").exists():
        return source.with_name(source.name + ".zip")
    found = "something that is not a file" if source.exists() else "nothing"
    raise RequestError(
        f"expected an agent or a student, found {found} at {source}; check the path, or name one of the hub, "
        "hf://user/repository"
    )


def _agent_in(folder: Path) -> Path:
    """Return the agent of a folder; of the RL Zoo's several, the one at the end of training, as the Zoo plays it."""
    zips = sorted(folder.glob("*.zip"))
    agents = zips if len(zips) < 2 else [path for path in zips if not _is_foreign(path)]
    if len(agents) == 1:
        return agents[0]
    final = [path for path in agents if is_of_a_run(path.with_suffix("")) and not made_by_callback(path)]
    if len(final) == 1:
        LOG.warning(
            "%s has several agents; took %s, the last of its run; choose another zip to use that one", folder, final[0]
        )
        return final[0]
    found = ", ".join(path.name for path in (agents or zips)[:8]) or "none"
    raise RequestError(f"expected one teacher zip in the folder {folder}, found {found}; name the zip")


def _is_foreign(path: Path) -> bool:
    """Say whether a zip is whole and no agent's, as the hub's `train_eval_metrics.zip` is."""
    if not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return not NEEDED <= set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _read_data(path: Path, text: bytes, further: tuple[str, ...]) -> dict[str, Any]:
    if len(text) > MAX_DATA:
        raise RequestError(f"{path} has a 'data' of {len(text):,} bytes, expected at most {MAX_DATA:,}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError(f"{path} is damaged: its 'data' is not JSON; copy it again from its source") from None
    if not isinstance(values, dict):
        raise RequestError(f"{path} is not an agent that Stable-Baselines3 saved: its 'data' is not a JSON object")
    if len(values) > MAX_ENTRIES:
        raise RequestError(f"{path} has {len(values):,} attributes in its 'data', expected at most {MAX_ENTRIES:,}")
    # Every pickle is read, also of what is not needed: a file with a foreign object anywhere is not to be trusted.
    budget = Budget()
    return {key: _read_value(value, f"{path}, entry {key!r},", budget, further) for key, value in values.items()}


def _read_value(value: Any, place: str, budget: Budget, further: tuple[str, ...]) -> Any:
    if not isinstance(value, dict) or ":serialized:" not in value:
        return value
    try:
        data = base64.b64decode(value[":serialized:"], validate=False)
    except (ValueError, TypeError):
        raise RequestError(f"{place} is damaged: not base64; copy the file again") from None
    return safe_unpickle(data, place, budget, further)


def _read_versions(archive: BoundedZip) -> dict[str, str]:
    versions = {}
    if "_stable_baselines3_version" in archive.names:
        text = archive.read("_stable_baselines3_version").decode(errors="replace")
        versions["stable-baselines3"] = text.strip()[:40]
    if "system_info.txt" in archive.names:
        for line in archive.read("system_info.txt").decode(errors="replace").splitlines():
            key, _, value = line.lstrip("- ").partition(": ")
            if key.lower() in ("python", "pytorch", "numpy", "gym", "gymnasium"):
                versions[key.lower()] = value.strip()[:40]
    return versions
