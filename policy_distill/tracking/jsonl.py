"""`metrics.jsonl`: one strict JSON object a line, the record that every other view is made from."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.student.file import write_atomically
from policy_distill.system.files import read_plain
from policy_distill.tracking.base import BaseTracker
from policy_distill.tracking.metrics import STEP, check_metric_names

MAX_BYTES = 2**28
"""Bytes of a file that is read: those of some hundred thousand iterations."""
MAX_LINE = 2**16
"""Bytes of a line; rows take ten times their text."""


class JsonlTracker(BaseTracker):
    """Appends each call of `log` as one line, flushed at once; `evaluation.json` holds the final values."""

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        """Open `path`; with `resume_step`, what a resumed run says again is dropped first, and a broken last line."""
        if resume_step is not None:
            kept = rows_until(path, resume_step)
            write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept).encode())
        self._path = path
        self._file = path.open("a" if resume_step is not None else "w", encoding="utf-8")

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write one line; a number that JSON does not have becomes null."""
        check_metric_names(metrics)
        row = {STEP: step, **{name: _number(value) for name, value in metrics.items()}}
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "it was deleted during the run", str(self._path))
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Put all lines on the disk, so that a checkpoint is never ahead of them."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; each line was flushed, so what cannot be written now was an error before."""
        with suppress(OSError):
            self._file.close()


def rows_until(path: Path, step: int) -> list[dict[str, Any]]:
    """Return the lines of the iterations up to `step`, one for each, without that of a proof after the last."""
    rows: dict[int, dict[str, Any]] = {}
    for row in read_metrics(path):
        if row[STEP] <= step:
            rows.setdefault(row[STEP], row)
    return [rows[key] for key in sorted(rows)]


def read_metrics(path: Path, *, lenient: bool = False) -> list[dict[str, Any]]:
    """Return the lines of a `metrics.jsonl`; a last line that was cut off is left out.

    Args:
        path: the file; there may be none.
        lenient: leave out every line that is not an object with a step, and what is no file of lines.

    Raises:
        RequestError: for such a line before the last, unless `lenient`.
    """
    try:
        data = read_plain(path, MAX_BYTES, "metrics") if os.path.lexists(path) else b""
    except RequestError:
        if not lenient:
            raise
        data = b""
    lines = data.split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            if len(line) > MAX_LINE:
                raise ValueError("a line too long")
            row = json.loads(line) if line.strip() else None
            if row is not None:
                rows.append({**row, STEP: int(row[STEP])})
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            if lenient or number == len(lines):
                continue
            raise RequestError(f"line {number} of {path} is not a record of metrics; remove that line") from None
    return rows


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
