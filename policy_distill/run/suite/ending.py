"""How a suite ends: one table, one page, one W&B group, and `suite.json`.

In: the suite's folder and what came of its cells. Out: a `SuiteResult`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.report.read_run import find_runs
from policy_distill.report.write import write_report
from policy_distill.run.suite.cells import Outcome
from policy_distill.run.suite.standings import COLUMNS, result_rows
from policy_distill.student.file import write_atomically
from policy_distill.system.files import read_json_object
from policy_distill.tracking.suite import track_suite

RECORD = "suite.json"


@dataclass(frozen=True)
class SuiteResult:
    """What came of a suite."""

    out: Path
    """Its folder."""
    outcomes: tuple[Outcome, ...]
    """One for each cell, in their order."""
    rows: list[tuple[Any, ...]]
    """The table, under `COLUMNS`."""
    report: Path | None
    """`report.html`; None where no run came to an end."""
    n_unreadable: int = 0
    """Run folders that cannot be read; the report lists them."""
    search: Mapping[str, Any] | None = None
    """What a search found, by task."""

    @property
    def failed(self) -> list[Outcome]:
        """The cells that are not done."""
        return [one for one in self.outcomes if one.state in ("failed", "left out")]

    @property
    def ok(self) -> bool:
        """True where all cells are done and can be read."""
        return all(one.state == "done" for one in self.outcomes) and not self.n_unreadable

    def to_json(self) -> dict[str, Any]:
        """Return the content of `suite.json`."""
        states = [one.state for one in self.outcomes]
        return {
            "n_cells": len(states),
            **{f"n_{name.replace(' ', '_')}": states.count(name) for name in ("done", "failed", "left out", "stopped")},
            "cells": [one.to_json(self.out) for one in self.outcomes],
            "table": [dict(zip(COLUMNS, row, strict=True)) for row in self.rows],
            "report": None if self.report is None else self.report.name,
            **({} if self.search is None else {"search": dict(self.search)}),
        }


def conclude(
    out: Path, outcomes: Sequence[Outcome], track: str = "disabled", search: Mapping[str, Any] | None = None
) -> SuiteResult:
    """Write the page and `suite.json`, and log the suite's own W&B run, in the group of its cells.

    Args:
        out: the suite's folder.
        outcomes: of all cells.
        track: as of `distill --track`; what is not W&B's has the cells' own runs alone.
        search: what a search found.
    """
    runs, unreadable = find_runs(out)
    report = write_report(out) if runs else None
    result = SuiteResult(out, tuple(outcomes), result_rows(runs), report, len(unreadable), search)
    write_record(out, result.to_json())
    if runs:
        track_suite(track, out, [run.path for run in runs])
    return result


def write_record(out: Path, values: Mapping[str, Any]) -> None:
    """Write `suite.json`; what earlier calls made and this one does not name stays known in it."""
    named = {one["folder"] for one in values["cells"]}
    before = known_cells(out).items() if (out / RECORD).is_file() else ()
    earlier = {folder: words for folder, words in before if folder not in named and (out / folder).exists()}
    values = {**values, "earlier": earlier} if earlier else values
    write_atomically(out / RECORD, (json.dumps(values, indent=2, allow_nan=False, default=str) + "\n").encode())


def known_cells(out: Path) -> dict[str, list[str]]:
    """Return the command lines of the cells that a suite in `out` has run, by their folders there.

    Raises:
        RequestError: where its `suite.json` holds something else.
    """
    record = read_json_object(out / RECORD)
    try:
        found = {one["folder"]: one["command"] for one in record.get("cells", [])} | dict(record.get("earlier", {}))
        return {str(folder): [str(word) for word in words] for folder, words in found.items()}
    except (TypeError, KeyError, ValueError):
        raise RequestError(f"expected a suite in {out / RECORD}, found something else; choose another --out") from None
