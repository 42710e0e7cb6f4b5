"""Reads and writes `student.safetensors`: named arrays and one JSON record, nothing executable. NumPy alone.

In: arrays and metadata. Out: one file, and back. A SHA-256 over arrays and metadata finds any altered byte, which
safetensors itself would load silently.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from policy_distill.errors import RequestError
from policy_distill.system.files import open_plain
from policy_distill.system.hub.place import local

KEY = "policy_distill"
FORMAT_VERSION = 5
"""The newest that is read. A student is written in the oldest that says all of it, as of `record.format_of`."""
MAX_HEADER = 2**23
"""Bytes of a header: a student's record has kilobytes, or megabytes where each pixel has bounds of its own."""
MAX_STUDENT = 2**29
"""Bytes of a student; it is compact, and acting needs a copy of it or two."""
SEAL = ', "sha256": "'
"""What stands before the checksum, which closes the record."""


def write_sealed(
    path: str | Path,
    tensors: dict[str, np.ndarray],
    metadata: Mapping[str, Any],
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write arrays and metadata with a checksum, whole or not at all; `check` as of `write_atomically`."""
    record = {"format_version": 1, **{key: value for key, value in metadata.items() if key != "sha256"}}
    text = json.dumps(record)
    sealed = f'{text[:-1]}{SEAL}{_digest(tensors, text)}"}}'
    if len(sealed) > MAX_HEADER // 2:
        raise RequestError(
            f"expected a record of at most {MAX_HEADER // 2:,} characters for {path}, found {len(sealed):,}"
        )
    write_atomically(Path(path), save(tensors, metadata={KEY: sealed}), check)


def read_sealed(path: str | Path, most: int | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read and check what `write_sealed` wrote, of at most so many bytes; no more is read before it is known to fit.

    Raises:
        RequestError: for a missing, foreign, truncated or altered file, or one of a newer format; it says which.
    """
    path = Path(path)
    file, size = open_plain(path, "a student file", "name the student.safetensors of a run folder")
    if most is not None and size > most:
        file.close()
        raise RequestError(
            f"expected a student file of at most {most:,} bytes, found {size:,} at {path}; choose another"
        )
    try:
        with file:
            start = file.read(8 + MAX_HEADER)
            header = _header(path, start, size)
            sealed, record = _record(path, header, size - 8 - int.from_bytes(start[:8], "little"))
            file.seek(0)
            data = file.read(size)
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); copy it again from its source") from None
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
    path = local(path)
    tensors, record = read_sealed(path, MAX_STUDENT)
    if "architecture" not in record and "tasks" not in record:
        raise RequestError(f"expected a student, found a checkpoint at {path}; the run ends with a student.safetensors")
    return tensors, record


def is_student_file(path: str | Path) -> bool:
    """Say whether a path looks like a student file, by its name or its first bytes."""
    path = Path(path)
    if path.suffix == ".safetensors":
        return True
    try:
        file, _ = open_plain(path, "a student file")
        with file:
            return file.read(9)[8:] == b"{"
    except (RequestError, OSError):
        return False


def in_run_folder(path: str | Path) -> Path:
    """Return the student of a run folder, or `path` where it is none; of an address of the hub what is fetched."""
    path = Path(local(path))
    return path / "student.safetensors" if (path / "student.safetensors").is_file() else path


def write_atomically(path: Path, data: bytes, check: Callable[[Path], None] | None = None) -> None:
    """Write bytes so that a reader, or a crash, sees the old file or the new one and nothing between.

    `check` is given the new file before it takes the old one's place; where it raises, the old one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(temporary)
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


def _header(path: Path, start: bytes, size: int) -> dict[str, Any]:
    """Return the safetensors header, 8 bytes of length and then JSON, once it is known that the file is as it says."""
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:9] != b"{":
        raise RequestError(
            f"{path} is not a student file: expected safetensors, found {start[:4]!r}; teachers are zips"
        )
    if length > size - 8:
        raise RequestError(f"{path} is truncated: its header has {length} bytes, the file {size}; copy it again")
    if length > MAX_HEADER:
        raise RequestError(f"{path} has a header of {length:,} bytes, expected at most {MAX_HEADER:,}; copy it again")
    try:
        header = json.loads(start[8 : 8 + length])
    except (ValueError, RecursionError):
        raise RequestError(f"{path} was altered: its header is not JSON; copy it again from its source") from None
    if not isinstance(header, dict):
        raise RequestError(f"{path} is not a student file: its header is not a JSON object")
    return header


def _record(path: Path, header: dict[str, Any], n_bytes: int) -> tuple[str, dict[str, Any]]:
    """Return the record as text and as values; `n_bytes` is the size of what follows the header."""
    try:
        sealed = header["__metadata__"][KEY]
        record = json.loads(sealed)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise RequestError(f"{path} is a safetensors file but not a student: it has no {KEY!r} record") from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise RequestError(
            f"{path} has student format {str(version)[:40]}, this version reads 1 to {FORMAT_VERSION}; upgrade"
        )
    try:
        declared = max((part["data_offsets"][1] for name, part in header.items() if name != "__metadata__"), default=0)
        whole = declared == n_bytes
    except (KeyError, TypeError, IndexError):
        whole = False
    if not whole:
        raise RequestError(f"{path} is truncated or altered: its arrays are of another size; copy it again")
    return sealed, record


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
