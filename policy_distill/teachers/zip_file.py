"""Opens the zip that Stable-Baselines3 saves, without running anything from it.

In: a path. Out: a `SavedAgent` of plain data, stand-ins and weights.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from policy_distill.errors import RequestError
from policy_distill.teachers.safe_load import safe_unpickle

MAX_MEMBER = 2**31
"""Bytes of a zip's member beyond which it is taken for a bomb."""


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
    raw = _read(path)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = archive.namelist()
            for needed in ("data", "policy.pth"):
                if needed not in names:
                    raise RequestError(f"{path} is a zip without {needed!r}: not an agent that Stable-Baselines3 saved")
            data = _read_data(path, _member(path, archive, "data"))
            weights = _read_weights(path, _member(path, archive, "policy.pth"))
            versions = _read_versions(path, archive, names)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{path} is truncated or damaged ({error}); copy it again from its source") from None
    return SavedAgent(path, data, weights, hashlib.sha256(raw).hexdigest(), len(raw), versions)


def find_zip(source: Path) -> Path:
    """Return the zip that `source` means: itself, with `.zip` added, or the only one in a folder.

    Raises:
        RequestError: where there is none, or more than one.
    """
    if source.is_dir():
        zips = sorted(source.glob("*.zip"))
        if len(zips) != 1:
            found = ", ".join(path.name for path in zips) or "none"
            raise RequestError(f"expected one teacher zip in the folder {source}, found {found}; name the zip")
        return zips[0]
    if source.exists():
        return source
    if source.suffix != ".zip" and source.with_name(source.name + ".zip").exists():
        return source.with_name(source.name + ".zip")
    raise RequestError(f"expected a teacher's zip, found nothing at {source}; check the path")


def _read(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:4] != b"PK\x03\x04":
        raise RequestError(f"{path} is not a zip: expected an agent that Stable-Baselines3 saved, found {raw[:4]!r}")
    return raw


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > MAX_MEMBER:
        raise RequestError(
            f"{path} declares {size:,} bytes for {name!r}, more than {MAX_MEMBER:,}; it was not unpacked"
        )
    return archive.read(name)


def _read_data(path: Path, text: bytes) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError(f"{path} is damaged: its 'data' is not JSON; copy it again from its source") from None
    if not isinstance(values, dict):
        raise RequestError(f"{path} is not an agent that Stable-Baselines3 saved: its 'data' is no JSON object")
    # Every pickle is read, also of what is not needed: a file with a foreign object anywhere is not to be trusted.
    return {key: _read_value(value, f"{path}, entry {key!r},") for key, value in values.items()}


def _read_value(value: Any, place: str) -> Any:
    if not isinstance(value, dict) or ":serialized:" not in value:
        return value
    try:
        data = base64.b64decode(value[":serialized:"], validate=False)
    except (ValueError, TypeError):
        raise RequestError(f"{place} is damaged: not base64; copy the file again") from None
    return safe_unpickle(data, place)


def _read_weights(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    try:
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise RequestError(f"{path} has weights that cannot be read safely ({reason}); nothing was run") from None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise RequestError(f"{path} has a policy.pth that is no dictionary of tensors; copy it again from its source")
    return weights


def _read_versions(path: Path, archive: zipfile.ZipFile, names: list[str]) -> dict[str, str]:
    versions = {}
    if "_stable_baselines3_version" in names:
        text = _member(path, archive, "_stable_baselines3_version").decode(errors="replace")
        versions["stable-baselines3"] = text.strip()[:40]
    if "system_info.txt" in names:
        for line in _member(path, archive, "system_info.txt").decode(errors="replace").splitlines():
            key, _, value = line.lstrip("- ").partition(": ")
            if key.lower() in ("python", "pytorch", "numpy", "gym", "gymnasium"):
                versions[key.lower()] = value.strip()[:40]
    return versions
