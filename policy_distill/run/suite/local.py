"""Cells as processes on the cores of this machine.

In: cells. Out: their processes' ends, and a log beside each run folder.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from policy_distill.errors import RequestError
from policy_distill.run.suite.cells import Ended, SuiteCell
from policy_distill.run.suite.leash import leashed
from policy_distill.system.lock import FolderLock

WAIT_SECONDS = 0.05
"""Between two looks at processes that run."""
FREE_SECONDS = 60.0
"""Longest wait for a process whose suite was killed: it writes its checkpoint, and ends."""


class LocalBackend:
    """So many processes at once."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._running: dict[str, tuple[SuiteCell, subprocess.Popen[bytes]]] = {}

    def has_room(self) -> bool:
        """Say whether a core is free."""
        return len(self._running) < self.jobs

    def start(self, cell: SuiteCell) -> None:
        """Start a cell's process."""
        self._running[cell.name] = cell, start_process(cell)

    def ended(self) -> list[Ended]:
        """Return the processes that ended; waits a moment where there are none."""
        found = [Ended(cell, code) for cell, one in self._running.values() if (code := one.poll()) is not None]
        for end in found:
            del self._running[end.cell.name]
        if not found:
            time.sleep(WAIT_SECONDS)
        return found

    def ask_to_stop(self, cells: list[SuiteCell]) -> None:
        """Send SIGTERM."""
        for cell in cells:
            self._running[cell.name][1].terminate()

    def close(self) -> None:
        """Kill what still runs."""
        for _, process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()


def start_process(cell: SuiteCell) -> subprocess.Popen[bytes]:
    """Start a cell's process in a session of its own, so that Control-C reaches the suite alone, which then asks it."""
    cell.log.parent.mkdir(parents=True, exist_ok=True)
    wait_until_free(cell.folder)
    with cell.log.open("ab") as log:
        return subprocess.Popen(
            leashed(cell.command()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=cell.cwd,
            # One core a cell: the threads of several would wait for each other.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def wait_until_free(folder: Path, seconds: float = FREE_SECONDS) -> None:
    """Wait until no other process is at work in a run folder, for so many seconds at most."""
    until = time.monotonic() + seconds
    while folder.is_dir():
        try:
            return FolderLock(folder).close()
        except RequestError:
            if time.monotonic() > until:
                return
            time.sleep(WAIT_SECONDS)
