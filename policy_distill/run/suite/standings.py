"""What a suite came to, as rows of a table: each student over its training seeds.

In: runs. Out: rows of text, for a terminal as for RESULTS.md.
"""

from __future__ import annotations

import math
from typing import Any

from policy_distill.report.read_run import RunRecord
from policy_distill.report.suite_charts import Cell, cells, compression_of, n_params_of
from policy_distill.system.wording import times_fewer

COLUMNS = (
    *("environment", "teacher", "student", "seeds", "retention, mean [95%]", "IQM", "verdicts", "falls"),
    *("parameters", "x fewer", "steps", "seconds"),
)


def result_rows(runs: list[RunRecord]) -> list[tuple[Any, ...]]:
    """Return a row of `COLUMNS` for each student of each environment; runs without an end are left out."""
    return [result_row(cell) for cell in cells(runs)]


def result_row(cell: Cell) -> tuple[Any, ...]:
    """Return the row of one student over its training seeds."""
    kept = cell.retention
    numbers = (
        ("undefined", "")
        if kept is None
        else (kept.text(), f"{kept.iqm:.3f}" if math.isfinite(kept.iqm) else "undefined")
    )
    verdicts = f"{cell.outcomes.count('non-inferior')} of {len(cell.runs)}"
    values = [_whole(cell.mean(n_params_of)), times_fewer(cell.mean(compression_of))]
    costs = [_whole(cell.mean(lambda one: one.env_steps)), _whole(cell.mean(lambda one: one.wall_seconds))]
    return (cell.env_id, cell.teacher, cell.student, len(cell.runs), *numbers, verdicts, cell.falls, *values, *costs)


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
