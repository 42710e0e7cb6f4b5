"""`policy-distill suite`: many runs as one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from policy_distill.commands.options.from_teacher import resume_command
from policy_distill.commands.options.tracking_options import TrackName
from policy_distill.commands.showing.output import Output, table
from policy_distill.errors import RequestError, one_line
from policy_distill.system.answers import answer
from policy_distill.system.interrupts import Interrupted, terminated_like_interrupted
from policy_distill.system.wording import digits

if TYPE_CHECKING:
    from policy_distill.run.suite.ending import SuiteResult
    from policy_distill.run.suite.grid import Grid
    from policy_distill.run.suite.grid_cells import CellTracking


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Make every run of a grid: teachers x environments x students x seeds, each in a run folder of its own.

    Example: policy-distill suite grid.yaml --out runs/suite --jobs 4

    The grid is a YAML file (docs/suite.md). A suite that was stopped continues with --resume: finished runs stay as
    they are, and started ones continue from their checkpoints. It ends in one table, report.html and suite.json.
    """

    grid: Annotated[Path, tyro.conf.Positional]
    """YAML file with teachers, students, seeds and settings."""
    out: Path
    """Folder of the suite: a run folder for each cell with its log next to it, report.html, suite.json."""
    backend: Literal["local", "ray"] = "local"
    """Where cells run: processes on this machine, or tasks of Ray (extra ray)."""
    jobs: int | None = None
    """Cells at once, each on one core; by default one for each core."""
    address: str | None = None
    """Cluster of Ray, or auto for the one that this machine is part of; by default Ray is started on this machine."""
    storage: Literal["auto", "shared", "object"] = "auto"
    """How runs come back from a cluster: shared where every machine sees --out and the teachers under the same paths,
    object where they travel through Ray's object store; auto is shared on one machine, and object on several."""
    gpus: float = 0.0
    """GPUs of each cell on a cluster; 0.25 for four cells on one."""
    retries: int = 1
    """How many times a failed cell is tried again, from its checkpoint."""
    seed: int = 0
    """Training seed if the grid has none."""
    search: Literal["none", "optuna"] = "none"
    """Search settings in place of running the grid: optuna (extra search) tries those under search: in the grid, judged
    by the mean return on selection episodes, and proves the best on fresh ones."""
    trials: int = 50
    """Trials of a search for each teacher, those of earlier calls included."""
    dry_run: bool = False
    """List the cells, and run nothing."""
    track: TrackName = "offline"
    """Weights & Biases, all cells in one group: offline needs no account; online goes offline without a key. trackio is
    a dashboard on this machine (extra trackio). NAME is a tracker of an installed package."""
    project: str | None = None
    """W&B project; by default WANDB_PROJECT, or policy-distill."""
    group: str | None = None
    """W&B group; by default the name of the suite's folder."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    resume: bool = False
    """Continue the suite in --out."""
    overwrite: bool = False
    """Replace the suite in --out."""
    json: Annotated[bool, tyro.conf.arg(help="Print suite.json on stdout and nothing else.")] = False

    def run(self) -> int:
        """Run the suite; where that is interrupted, say how to go on."""
        with terminated_like_interrupted():
            try:
                return self._make()
            except Interrupted as interrupt:
                print(f"{interrupt}; go on with: {resume_command()}", file=sys.stderr)
                return 130

    def _make(self) -> int:
        from policy_distill.run.suite.backends import Workplace
        from policy_distill.run.suite.grid import read_grid
        from policy_distill.run.suite.search_space import space_of
        from policy_distill.run.suite.search_suite import run_search
        from policy_distill.run.suite.suite import run_suite
        from policy_distill.tracking.table import check_track

        check_track(self.track)
        workplace = Workplace(self.backend, self.jobs, self.address, self.storage, self.gpus)
        grid = read_grid(self.grid, self.seed)
        _check_compression(grid, f"{self.grid}, compress")
        space_of(grid.search, f"{self.grid}, search", grid.students)
        for name, value, least in (("--retries", self.retries, 0), ("--trials", self.trials, 1)):
            if value < least:
                raise RequestError(f"expected {name} of at least {least}, found {value}")
        if self.dry_run:
            return self._list(grid)
        common: dict[str, Any] = {
            "workplace": workplace,
            "retries": self.retries,
            "tracking": self.tracking,
            "resume": self.resume,
            "overwrite": self.overwrite,
            "progress": not self.json,
            "say": _say,
        }
        if self.search == "none":
            return self._show(run_suite(grid, self.out, **common))
        return self._show(run_search(grid, self.out, self.trials, **common))

    @property
    def tracking(self) -> CellTracking:
        """How cells are tracked."""
        from policy_distill.run.suite.grid_cells import CellTracking

        return CellTracking(self.track, self.group or self.out.resolve().name, self.project, self.tags)

    def _list(self, grid: Grid) -> int:
        from policy_distill.run.suite.cells import relative
        from policy_distill.run.suite.grid_cells import cells_of
        from policy_distill.run.suite.search_places import trials_of

        out = self.out.absolute()
        cells = cells_of(grid, out, self.tracking) if self.search == "none" else trials_of(grid, out, self.trials)
        rows = [(cell.name, "done" if cell.done else "to do", relative(cell.folder, out)) for cell in cells]
        listed = [{"name": name, "state": state, "folder": folder} for name, state, folder in rows]
        Output(self.json).show({"n_cells": len(rows), "cells": listed}, rows, ("cell", "", "folder"))
        return 0

    def _show(self, result: SuiteResult) -> int:
        from policy_distill.run.suite.ending import RECORD
        from policy_distill.run.suite.standings import COLUMNS
        from policy_distill.system.files import read_json_object

        Output(self.json).show(read_json_object(result.out / RECORD), result.rows, COLUMNS)
        if not self.json and result.search is not None:
            answer(f"\n{table(_search_rows(result.search))}")
        if not self.json and result.report is not None:
            answer(f"\n{one_line(str(result.report))}")
        if result.failed:
            print(table([(one.cell.name, one.state, one.reason) for one in result.failed]), file=sys.stderr)
        return 0 if result.ok else 1


def _search_rows(search: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return what a search found, for each teacher: how many trials, and the settings of the best."""
    rows: list[tuple[Any, ...]] = []
    for name, found in search.items():
        states = ", ".join(f"{n} {state}" for state, n in found["states"].items())
        rows.append((name, f"{found['n_trials']} trials: {states}"))
        if best := found.get("best"):
            chosen = f"best: trial {best['trial']}, return {digits(best['selection_return'])} where it was chosen"
            named = {key: digits(one) if isinstance(one, float) else one for key, one in best["settings"].items()}
            rows += [("", chosen), ("", ", ".join(f"{key}={one}" for key, one in named.items()))]
    return rows


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)


def _check_compression(grid: Grid, where: str) -> None:
    """Refuse limits and networks of a compression that it would refuse itself, once its cells are begun."""
    if grid.compress is not None:
        from policy_distill.compression.candidates import expanded
        from policy_distill.compression.limits import Limits
        from policy_distill.run.suite.grid import require_student

        for name in expanded(grid.compress.get("students", ())):
            require_student(name, "tanh", where)

        asked = {name: value for name, value in grid.compress.items() if name in Limits.__dataclass_fields__}
        Limits(bar=grid.compress.get("retention", 0.95), **asked)
