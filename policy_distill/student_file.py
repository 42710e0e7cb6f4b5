"""Reads and writes `student.safetensors`: named arrays and one JSON record, nothing executable. NumPy alone.

In: arrays and metadata. Out: one file, and back. A SHA-256 over arrays and metadata finds any altered byte, which
safetensors itself would load silently.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from policy_distill.errors import RequestError

KEY = "policy_distill"
FORMAT_VERSION = 1
SEAL = ', "sha256": "'
"""What stands before the checksum, which closes the record."""


def write_sealed(path: str | Path, tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    """Write arrays and metadata with a checksum, whole or not at all."""
    record = {"format_version": FORMAT_VERSION, **{key: value for key, value in metadata.items() if key != "sha256"}}
    text = json.dumps(record)
    sealed = f'{text[:-1]}{SEAL}{_digest(tensors, text)}"}}'
    write_atomically(Path(path), save(tensors, metadata={KEY: sealed}))


def read_sealed(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read and check what `write_sealed` wrote.

    Raises:
        RequestError: for a missing, foreign, truncated or altered file, or one of a newer format; it says which.
    """
    path = Path(path)
    data = _read_bytes(path)
    header = _header(path, data)
    try:
        sealed = header["__metadata__"][KEY]
        record = json.loads(sealed)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise RequestError(f"{path} is a safetensors file but not a student: it has no {KEY!r} record") from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if version != FORMAT_VERSION:
        raise RequestError(
            f"{path} has student format {version!r}, this version reads {FORMAT_VERSION}; upgrade policy-distill"
        )
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} is truncated or altered ({error}); copy it again from its source") from None
    # Over the text and not over the values: a changed last digit of a number may leave its value as it is.
    text, _, seal = sealed.rpartition(SEAL)
    if seal != f'{_digest(tensors, text + "}")}"}}':
        raise RequestError(
            f"{path} was altered: its checksum does not match its contents; copy it again from its source"
        )
    return tensors, record


def read_student(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read and check a student file; errors as of `read_sealed`, and for a checkpoint."""
    tensors, record = read_sealed(path)
    if "architecture" not in record:
        raise RequestError(f"expected a student, found a checkpoint at {path}; the run ends with a student.safetensors")
    return tensors, record


def is_student_file(path: str | Path) -> bool:
    """Say whether a path looks like a student file, by its name or its first bytes."""
    path = Path(path)
    if path.suffix == ".safetensors":
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:
        return False


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes so that a reader, or a crash, sees the old file or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Put a folder's names on the disk too, where a system can: a renamed file must not come back as it was."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems have no such thing; the file itself is safe.
        pass
    finally:
        os.close(descriptor)


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise RequestError(f"expected a student file, found nothing at {path}; check the path")
    if path.is_dir():
        raise RequestError(f"expected a student file, found a folder at {path}; name the student.safetensors in it")
    if not path.is_file():
        raise RequestError(f"expected a student file, found a device or pipe at {path}; name a file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _header(path: Path, data: bytes) -> dict[str, Any]:
    """Return the safetensors header: 8 bytes of length, then JSON."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 9 or data[8:9] != b"{":
        raise RequestError(f"{path} is not a student file: expected safetensors, found {data[:4]!r}; teachers are zips")
    if size > len(data) - 8:
        raise RequestError(f"{path} is truncated: its header has {size} bytes, the file {len(data)}; copy it again")
    try:
        header = json.loads(data[8 : 8 + size])
    except (ValueError, RecursionError):
        raise RequestError(f"{path} was altered: its header is not JSON; copy it again from its source") from None
    if not isinstance(header, dict):
        raise RequestError(f"{path} is not a student file: its header is not a JSON object")
    return header


def _digest(tensors: dict[str, np.ndarray], text: str) -> str:
    digest = _sha256(text.encode(errors="surrogatepass"))
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode(errors="surrogatepass"))
        digest.update(array.tobytes())
    return digest.hexdigest()


def _sha256(data: bytes) -> Any:
    # hashlib brings OpenSSL along, 4 MB that a small machine would rather keep; Python has this one built in.
    for name in ("_sha2", "_sha256", "hashlib"):
        try:
            return import_module(name).sha256(data)
        except ImportError:
            continue
    raise AssertionError("hashlib is part of Python")
