"""Where the runs of a search lie: trials in a hidden folder, and a copy of the best where it is proven.

In: the suite's folder and teachers. Out: folders, and a run to go on with in that of the best.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from policy_distill.run.suite.cells import SuiteCell
from policy_distill.run.suite.grid import Grid
from policy_distill.system.lock import NAME

TRIALS = ".trials"
"""Folder of the trials' runs; reports pass by what is hidden."""


def trials_of(grid: Grid, out: Path, n_trials: int) -> list[SuiteCell]:
    """Return the trials of all teachers without their settings, which the search chooses as it goes."""
    places = [teacher.place for teacher in grid.teachers]
    return [SuiteCell(f"{one} trial {i}", trial_folder(out, one, i), ()) for one in places for i in range(n_trials)]


def trial_folder(out: Path, place: Path, number: int) -> Path:
    """Return the run folder of a trial."""
    return out / TRIALS / place / f"trial-{number:04d}"


def place_best(trial: Path, folder: Path) -> None:
    """Copy the run of a trial to `folder`, unless it was; bests of earlier calls go to the trials' own folder."""
    for earlier in folder.parent.glob("best-*[0-9]"):
        if earlier != folder:
            # No result any more: reports pass by what is hidden, as the trials are.
            kept = trial.with_name(earlier.name)
            shutil.rmtree(kept, ignore_errors=True)
            earlier.rename(kept)
    if folder.exists():
        return
    # Whole or not at all; its record of an unproven student is not what the cell is to make.
    left_out = shutil.ignore_patterns("evaluation.json", "wandb", NAME)
    fresh = folder.with_name(f".{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(trial, fresh, ignore=left_out)
    fresh.rename(folder)
