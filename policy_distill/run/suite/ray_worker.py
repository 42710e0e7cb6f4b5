"""One cell on a worker of Ray: a process as on any machine, and what it made on its way back.

In: a cell, and what the worker's machine lacks. Out: copies of the run folder as it grows, then the exit status.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from policy_distill.report.write import try_report
from policy_distill.run.folder import RunFolder
from policy_distill.run.suite.cells import SuiteCell
from policy_distill.run.suite.folders import pack_files, replace_folder, unpack_files
from policy_distill.run.suite.grid_teachers import plain_name
from policy_distill.run.suite.local import start_process, wait_until_free
from policy_distill.student.file import write_atomically

WAIT_SECONDS = 0.2
"""Between two looks at the process."""
ASK_SECONDS = 1.0
"""Between two questions whether the cell is to stop."""
STOPPED = 130
"""Exit status of what was asked to stop before it began."""


COPY_SECONDS = 120.0
"""Between two copies of a run folder on its way back."""


class HandedBack(NamedTuple):
    """What a worker says of a cell: once at its end, and before that where copies are handed back."""

    status: int | None
    """The exit status; None while the process runs."""
    folder: bytes | None = None
    """The run folder, packed; None where it lies where all see it."""
    log: bytes = b""
    """Where the folder is packed."""


@dataclass(frozen=True)
class Errand:
    """A cell, and how it is run."""

    cell: SuiteCell
    suite: str
    """Names the suite's files on a machine that shares no folder; empty where all machines share one."""
    inputs: Mapping[Path, bytes]
    """What the cell is made from, packed."""
    begun: bytes | None = None
    """The run folder of an attempt on another machine."""
    copy_seconds: float = COPY_SECONDS
    """Between copies that are handed back, so that a machine that dies takes no more with it."""


def run_errand(errand: Errand, is_unwanted: Callable[[], bool]) -> Iterator[HandedBack]:
    """Run a cell; `is_unwanted` is asked now and then whether it is to stop at its next checkpoint."""
    if is_unwanted():
        yield HandedBack(STOPPED)
    elif errand.suite:
        yield from _on_own_disk(errand, is_unwanted)
    else:
        cell = errand.cell
        # A worker starts anywhere; packages that register environments may lie where the suite was started.
        known = cell if cell.cwd is not None and cell.cwd.is_dir() else replace(cell, cwd=None)
        yield from (HandedBack(status) for status in _statuses(known, is_unwanted) if status is not None)


def _on_own_disk(errand: Errand, is_unwanted: Callable[[], bool]) -> Iterator[HandedBack]:
    # The same place for every attempt on this machine: what a worker left that died is the newest that there is.
    place = Path(tempfile.gettempdir()) / f"policy-distill-{errand.suite}-{plain_name(errand.cell.name)}"
    packed = enumerate(errand.inputs.items())
    places = {path: unpack_files(data, place / f"input-{i}") / path.name for i, (path, data) in packed}
    cell = errand.cell.moved(places, place / errand.cell.folder.name)
    wait_until_free(cell.folder)
    if errand.begun is not None and not RunFolder(cell.folder).resumable:
        replace_folder(errand.begun, cell.folder)
    copied = time.monotonic()
    for status in _statuses(cell, is_unwanted):
        if status is not None:
            _name_as_at_home(cell, places)
            yield HandedBack(status, *_packed(cell))
        elif time.monotonic() - copied > errand.copy_seconds and RunFolder(cell.folder).resumable:
            copied = time.monotonic()
            yield HandedBack(None, *_packed(cell))
    shutil.rmtree(place, ignore_errors=True)


def _statuses(cell: SuiteCell, is_unwanted: Callable[[], bool]) -> Iterator[int | None]:
    """Run a cell's process, and say None now and then, and its exit status at its end."""
    process, asked, looked = start_process(cell), False, time.monotonic()
    try:
        while (status := process.poll()) is None:
            time.sleep(WAIT_SECONDS)
            if not asked and time.monotonic() - looked > ASK_SECONDS:
                looked, asked = time.monotonic(), is_unwanted()
                if asked:
                    process.terminate()
            yield None
        yield status
    finally:
        # The worker may be told to end meanwhile, and its process with it.
        process.terminate()
        process.wait()


def _name_as_at_home(cell: SuiteCell, places: Mapping[Path, Path]) -> None:
    """Call the inputs in a run's settings, and on its page, what they are called where the suite was started."""
    config = cell.folder / "config.json"
    if config.is_file():
        text = config.read_text()
        for path, here in places.items():
            text = text.replace(json.dumps(str(here))[1:-1], json.dumps(str(path))[1:-1])
        write_atomically(config, text.encode())
    if (cell.folder / "report.html").is_file():
        try_report(cell.folder)


def _packed(cell: SuiteCell) -> tuple[bytes, bytes]:
    """Return the run folder and the log; the first may change meanwhile, so that a file may be gone or half written."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    return pack_files([cell.folder], cell.folder), cell.log.read_bytes()
