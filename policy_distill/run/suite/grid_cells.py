"""The cells of a grid: which command makes which folder, after which others.

In: a grid and the suite's folder. Out: cells in the order in which they are begun.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.report.command import option_words
from policy_distill.run.suite.cells import SuiteCell
from policy_distill.run.suite.grid import Grid
from policy_distill.run.suite.grid_teachers import GridTeacher, plain_name

OWN = (sys.executable, "-m", "policy_distill")
"""The command line of a cell begins so: with the Python that runs the suite."""


@dataclass(frozen=True)
class CellTracking:
    """How all cells of a suite are tracked."""

    track: str = "disabled"
    group: str = "suite"
    project: str | None = None
    tags: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Return them as options of a command."""
        words = ["--track", self.track, "--group", self.group]
        words += ["--project", self.project] if self.project else []
        return [*words, "--tags", *self.tags] if self.tags else words


def cells_of(grid: Grid, out: Path, tracking: CellTracking) -> list[SuiteCell]:
    """Return the cells of a grid; each folder lies below `out`, which is absolute."""
    found = []
    for teacher in grid.teachers:
        found += [one for seed in grid.seeds for one in _distilled(grid, teacher, seed, out, tracking)]
        if grid.compress is not None:
            found += [_compressed(grid.compress, teacher, seed, out, tracking) for seed in grid.seeds]
    return found


def distilling(teacher: GridTeacher, student: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command line that distils a student of a teacher; no folder is named."""
    return (*OWN, "distill", *words_of(teacher), "--student", student, *words_of_settings(settings))


def words_of(teacher: GridTeacher) -> list[str]:
    """Return the options that name a teacher and its environment."""
    words = ["--teacher", *map(str, teacher.paths)]
    words += ["--env", teacher.env] if teacher.env else []
    if teacher.env_kwargs:
        words += ["--env-kwargs", *(f"{key}:{value!r}" for key, value in teacher.env_kwargs.items())]
    words += ["--gym-packages", *teacher.gym_packages] if teacher.gym_packages else []
    return [*words, *words_of_settings(teacher.options)]


def words_of_settings(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as options; one that is false or none by itself is not named."""
    return [word for name, value in settings.items() if value is not None for word in option_words(name, value)]


def _distilled(grid: Grid, teacher: GridTeacher, seed: int, out: Path, tracking: CellTracking) -> list[SuiteCell]:
    """Return the cells of one teacher and seed: the students, and those that go on by reward behind them."""
    found = []
    for student in grid.students:
        folder = out / teacher.place / plain_name(student)
        words = (*distilling(teacher, student, {**grid.distill, "seed": seed}), *tracking.words())
        cell = SuiteCell(f"{teacher.place} {student} seed {seed}", folder / f"seed-{seed}", words, (), teacher.inputs)
        found += [cell] if grid.finetune is None else [cell, _tuned(grid.finetune, cell, teacher, seed, tracking)]
    return found


def _tuned(
    settings: Mapping[str, Any], begun: SuiteCell, teacher: GridTeacher, seed: int, tracking: CellTracking
) -> SuiteCell:
    """Return the cell in which a distilled student goes on by reward, held by its teacher unless `hold` is false."""
    named, own = words_of(teacher), {name: value for name, value in settings.items() if name != "hold"}
    if settings.get("hold") is False:
        named = named[1 + len(teacher.paths) :]
    # What comes first stands for the student, and the options behind it.
    words = [*OWN, "finetune", str(begun.folder), *named, *words_of_settings({**own, "seed": seed}), *tracking.words()]
    folder = begun.folder.with_name(f"{begun.folder.name}-finetuned")
    return SuiteCell(f"{begun.name} finetuned", folder, tuple(words), (begun.name,), (*teacher.inputs, begun.folder))


def _compressed(
    settings: Mapping[str, Any], teacher: GridTeacher, seed: int, out: Path, tracking: CellTracking
) -> SuiteCell:
    words = (*OWN, "compress", *words_of(teacher), *words_of_settings({**settings, "seed": seed}), *tracking.words())
    folder = out / teacher.place / "compress" / f"seed-{seed}"
    return SuiteCell(
        f"{teacher.place} compress seed {seed}", folder, words, (), teacher.inputs, product="compression.json"
    )
