"""A grid from its first cell to its table: `run_suite`, which the command `suite` is a face of.

In: a grid and a folder. Out: a run folder for each cell, and a `SuiteResult`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.run.folder import open_run_folder
from policy_distill.run.suite.backends import Workplace
from policy_distill.run.suite.cells import Backend, Outcome, SuiteCell
from policy_distill.run.suite.ending import RECORD, SuiteResult, conclude, known_cells, write_record
from policy_distill.run.suite.grid import Grid, grid_of, read_grid
from policy_distill.run.suite.grid_cells import CellTracking, cells_of
from policy_distill.run.suite.schedule import InOrder, Schedule
from policy_distill.run.suite.search import DATABASE
from policy_distill.run.suite.search_places import TRIALS
from policy_distill.system.interrupts import Interrupted, Interrupts
from policy_distill.system.lock import FolderLock
from policy_distill.system.progress import Progress

Say = Callable[[str], None]


def run_suite(
    grid: Grid | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    workplace: Workplace | None = None,
    retries: int = 1,
    tracking: CellTracking | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    say: Say = lambda line: None,
) -> SuiteResult:
    """Make every run of a grid, and write one page, one table and `suite.json`.

    Args:
        grid: a YAML file, the same as a dict, or a `Grid`.
        out: the suite's folder.
        workplace: where cells run; None for processes on this machine, one a core.
        retries: times that a failed cell is tried again.
        tracking: how cells are tracked; None tracks nothing.
        resume: go on in `out`: what is done is left alone, what was begun goes on from its checkpoint.
        overwrite: replace the suite in `out`.
        progress: draw a bar over the cells on stderr where that is a terminal.
        say: is told, a line each, what starts and ends.

    Raises:
        RequestError: for a wrong grid, or a folder in use, before anything is run.
        Interrupted: on SIGINT or SIGTERM, once the cells that ran have written their checkpoints.
    """
    known = grid if isinstance(grid, Grid) else grid_of(grid) if isinstance(grid, Mapping) else read_grid(grid)
    tracking = tracking or CellTracking()
    out = Path(os.path.abspath(out))
    cells = cells_of(known, out, tracking)
    with suite_folder(out, cells, resume=resume, overwrite=overwrite):
        outcomes = run_cells(cells, (workplace or Workplace()).open(), out, retries, progress, say)
        return conclude(out, outcomes, tracking.track)


def run_cells(
    cells: Sequence[SuiteCell], backend: Backend, out: Path, retries: int = 1, progress: bool = False, say: Say = print
) -> list[Outcome]:
    """Run what is left of cells, and return what came of each, in their order; `suite.json` is kept up to date.

    Raises:
        Interrupted: on SIGINT or SIGTERM, once the cells that ran have written their checkpoints.
    """
    found: dict[str, Outcome] = {}

    def keep(outcome: Outcome | None = None) -> None:
        bar.update(sum(one.state == "done" for one in found.values()), {})
        write_record(out, SuiteResult(out, tuple(_all(cells, found)), [], None).to_json())

    with (
        closing(backend),
        Interrupts() as interrupts,
        Progress(len(cells), description="cells", enabled=progress) as bar,
    ):
        queue = InOrder(cells, found)
        keep()
        Schedule(queue, backend, interrupts, retries=retries, say=say, on_outcome=keep).run()
        stop_where_asked(interrupts, f"{sum(one.state == 'done' for one in found.values())} of {len(cells)} cells")
    return _all(cells, found)


def stop_where_asked(interrupts: Interrupts, done: str) -> None:
    """Raise `Interrupted` where a signal has come; `done` says how much was."""
    if interrupts.requested:
        raise Interrupted(f"stopped with {done} done; the others keep their checkpoints", saved=True)


@contextmanager
def suite_folder(
    out: Path, cells: Sequence[SuiteCell], *, resume: bool = False, overwrite: bool = False
) -> Iterator[None]:
    """Hold a suite's folder for this process, within.

    Raises:
        RequestError: for a folder in use without either option, nothing to resume in it, or cells in it that were made
            by other commands than those that are asked for now.
    """
    if not resume:
        with closing(open_run_folder(out, overwrite=overwrite)):
            if overwrite:
                _remove(out)
            yield
        return
    if overwrite:
        raise RequestError("expected --resume or --overwrite, found both; choose one")
    if not (out / RECORD).is_file():
        raise RequestError(f"expected a suite to resume in {out}, found no {RECORD}; start without --resume")
    with closing(FolderLock(out)):
        _check_same(out, cells)
        yield


def _check_same(out: Path, cells: Sequence[SuiteCell]) -> None:
    known = known_cells(out)
    for cell in cells:
        before = known.get(cell.folder.relative_to(out).as_posix())
        # The Python that ran it, and how it was tracked, change nothing in a student.
        if before is not None and cell.folder.exists() and _asked(before) != _asked(cell.words):
            raise RequestError(
                f"expected the settings that {cell.name} started with, found others in the grid; continue with the "
                "same grid, choose another --out, or start over with --overwrite"
            )


def _asked(words: Sequence[str]) -> list[str]:
    """Return the words of a cell's command that shape its student."""
    end = words.index("--track") if "--track" in words else len(words)
    return list(words[1:end])


def _remove(out: Path) -> None:
    """Remove what a suite made: the folders and logs of its cells, and its record."""
    for folder in known_cells(out):
        path = out / folder
        # The record may come from anywhere; nothing outside the suite's folder is its own.
        if out in Path(os.path.abspath(path)).parents and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            path.with_name(f"{path.name}.log").unlink(missing_ok=True)
    # And what a search made.
    shutil.rmtree(out / TRIALS, ignore_errors=True)
    for name in (RECORD, DATABASE):
        (out / name).unlink(missing_ok=True)


def _all(cells: Sequence[SuiteCell], found: Mapping[str, Outcome]) -> list[Outcome]:
    waiting = "not begun"
    return [found.get(cell.name) or Outcome(cell, "stopped", reason=waiting) for cell in cells]
