"""What a suite is made of: cells, each one run folder that one command makes, and what came of each.

In: names, folders, command lines. Out: the command line with which a cell begins or goes on, and its outcome.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from policy_distill.run.folder import RunFolder
from policy_distill.student.file import write_atomically

State = Literal["done", "failed", "stopped", "left out"]
LAST_BYTES = 4096
"""Of a log, what is looked at for its last line."""


@dataclass(frozen=True)
class SuiteCell:
    """One run folder to make."""

    name: str
    """What people call it, and no other cell of the suite."""
    folder: Path
    """The run folder, absolute."""
    words: tuple[str, ...]
    """The command line of a process."""
    after: tuple[str, ...] = ()
    """Names of cells that must be done first."""
    inputs: tuple[Path, ...] = ()
    """Files and folders among the words, which a machine of its own must be sent."""
    product: str = "evaluation.json"
    """What lies in the folder once the cell is done."""
    own_folder: bool = True
    """The command takes `--out`, `--resume` and `--overwrite`, which `command` adds; else the words say all."""
    cwd: Path | None = None
    """Where the process starts; by default where the suite was started."""

    @property
    def log(self) -> Path:
        """What the process says, beside the folder."""
        return self.folder.parent / f"{self.folder.name}.log"

    @property
    def done(self) -> bool:
        """True once the product is there."""
        return (self.folder / self.product).is_file()

    def command(self) -> list[str]:
        """Return the command line that begins the cell, or goes on with it where there is a checkpoint."""
        if not self.own_folder:
            return list(self.words)
        run = RunFolder(self.folder)
        left = self.folder.is_dir() and any(self.folder.iterdir())
        # What is left of an attempt that died before it had settings is in nobody's way.
        how = ["--resume"] if run.resumable or run.begun else ["--overwrite"] if left else []
        return [*self.words, "--out", str(self.folder), *how]

    def moved(self, places: Mapping[Path, Path], folder: Path) -> SuiteCell:
        """Return the cell as another machine makes it: in `folder`, of inputs that lie in other `places` there."""
        names = {str(path): str(place) for path, place in places.items()}
        words = tuple(names.get(word, word) for word in self.words)
        return dataclasses.replace(self, folder=folder, words=words, inputs=(), cwd=None)

    def note(self, line: str) -> None:
        """Add a line to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as file:
            file.write(f"{line}\n")

    def last_words(self) -> str:
        """Return the last line of the log; empty where there is none."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - LAST_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


@dataclass(frozen=True)
class Outcome:
    """What came of a cell."""

    cell: SuiteCell
    state: State
    attempts: int = 0
    """Processes that were started for it, in this call."""
    seconds: float = 0.0
    """From its first start to its end, in this call."""
    reason: str = ""
    """Why it is not done."""

    def to_json(self, out: Path) -> dict[str, Any]:
        """Return JSON values; `out` is the suite's folder."""
        return {
            "name": self.cell.name,
            "folder": relative(self.cell.folder, out),
            "log": relative(self.cell.log, out),
            "command": list(self.cell.words),
            "state": self.state,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
        }


class Ended(NamedTuple):
    """A process that ended."""

    cell: SuiteCell
    status: int
    """Its exit status; the negative number of the signal that ended it."""
    lost: str = ""
    """Why nobody knows its status: the worker or the machine that it ran on died."""


class Backend(Protocol):
    """Where cells run."""

    def has_room(self) -> bool:
        """Say whether a further cell may be started."""
        ...

    def start(self, cell: SuiteCell) -> None:
        """Start a cell's process; returns at once."""
        ...

    def ended(self) -> list[Ended]:
        """Return the processes that ended since the last call; waits a moment where there are none."""
        ...

    def ask_to_stop(self, cells: list[SuiteCell]) -> None:
        """Ask the processes of cells to write a checkpoint and end."""
        ...

    def close(self) -> None:
        """End all that still runs at once, and let the machines go."""
        ...


def relative(path: Path, out: Path) -> str:
    """Return a path below the suite's folder, from there; any other as it is."""
    return path.relative_to(out).as_posix() if path.is_relative_to(out) else str(path)


def write_log(cell: SuiteCell, data: bytes) -> None:
    """Write a log that came from another machine."""
    cell.log.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(cell.log, data)
