"""Opens files that nobody vouches for: plain ones alone, of a bounded size. A pipe or a device would never end.

In: a path. Out: bytes, JSON, or an error in one line.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from policy_distill.errors import RequestError

MAX_JSON = 2**23
"""Bytes of a JSON file; a Python list takes twenty times the bytes of its text."""
MAX_DEPTH = 20
"""Lists and mappings of a YAML file within each other."""


def open_plain(path: Path, what: str, advice: str = "check the path") -> tuple[BinaryIO, int]:
    """Return a plain file that is open for reading, and its size; `what` and `advice` are for errors.

    Raises:
        RequestError: for nothing, a folder, a pipe, a device, or what may not be read.
    """
    if "\0" in str(path):
        raise RequestError(f"expected {what}, found a name that a file cannot have; {advice}")
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise RequestError(f"expected {what}, found a folder at {path}; {advice}")
        if not stat.S_ISREG(mode):
            raise RequestError(f"expected {what}, found a device or pipe at {path}; name a file")
        file = open(path, "rb")
        return file, os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise RequestError(f"expected {what}, found nothing at {path}; {advice}") from None
    except OSError as error:
        raise RequestError(
            f"expected {what}, found {path}, which cannot be read ({error.strerror}); check its permissions"
        ) from None


def read_plain(path: Path, most: int, what: str) -> bytes:
    """Return the bytes of a plain file of at most `most`; errors as of `open_plain`."""
    file, size = open_plain(path, what)
    with file:
        if size > most:
            raise RequestError(f"expected {what} of at most {most:,} bytes, found {size:,} at {path}; choose another")
        try:
            return file.read(most)
        except OSError as error:
            raise RequestError(f"{path} cannot be read ({error.strerror}); copy it again from its source") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one where there is none."""
    try:
        value = json.loads(read_plain(path, MAX_JSON, "a JSON file").decode())
    except (RequestError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_yaml(path: Path, most: int, what: str) -> Any:
    """Return the plain values of a YAML file of at most `most` bytes; `what` is for errors.

    Raises:
        RequestError: for what cannot be read, is no YAML, or could be made endless by a few lines.
    """
    # Most programs that act have no use for it.
    import yaml

    data = read_plain(path, most, what)
    try:
        depth = 0
        for event in yaml.parse(data, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise RequestError(
                    f"{path}: expected every value written out, found an alias (*name); repeat what it names"
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise RequestError(f"{path}: expected lists and mappings, found them nested more than {MAX_DEPTH} deep")
        return yaml.safe_load(data)
    except RequestError:
        raise
    except Exception as error:
        # YAML makes dates and numbers by itself, each of which fails in its own way; too deep a nesting is another.
        raise RequestError(f"{path} is not YAML ({' '.join(str(error).split())[:200]}); fix it") from None
