"""The charts and the table of a folder of runs.

In: several `RunRecord`s. Out: the Pareto front of return kept against parameters, all intervals, and what the runs
come to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.records import BothFalls, FallsRecord, RetentionRecord
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds, range_over
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.evaluation.statistics import iqm, json_number
from policy_distill.report.grouping import grouped, is_defined
from policy_distill.report.marks import RANDOM, TEACHER, Chart, layered, number_axis, tooltip
from policy_distill.report.read_run import RunRecord


@dataclass(frozen=True)
class Cell:
    """All training seeds of one student on one environment."""

    env_id: str
    teacher: str
    student: str
    runs: list[RunRecord]
    retention: AcrossSeeds | None
    """Over the training seeds, without those where it is undefined; None where there is no other."""

    @property
    def outcomes(self) -> list[str | None]:
        """The verdict of each run."""
        return [headline(run.proof).outcome for run in self.runs]

    @property
    def falls(self) -> str:
        """Falls in all the proofs, and the highest rate that one of them leaves open; empty where one has no count."""
        both = [run.proof.falls or BothFalls() for run in self.runs if is_defined(run)]
        found = [one.student or FallsRecord() for one in both]
        known = [(x.n, x.n_episodes, x.rate_high) for x in found if None not in (x.n, x.n_episodes, x.rate_high)]
        if not found or len(known) < len(found):
            return ""
        n, n_episodes, highs = zip(*known, strict=True)
        return f"{sum(n)} of {sum(n_episodes)}; each seed under {max(highs):.1%}"

    def rank(self) -> float | None:
        """Return the mean of what the runs kept on the episodes that chose them; None where one has no such figure."""
        return _mean([first.chosen_by for run in self.runs if (first := headline(run.proof)).mean is not None])

    def mean(self, number_of: Callable[[EvaluationRecord], float | None]) -> float | None:
        """Return the mean over the runs of a number in their evaluations; None where one lacks it."""
        return _mean([number_of(run.proof) for run in self.runs])


def n_params_of(record: EvaluationRecord) -> int | None:
    """Return the student's parameters."""
    return record.student.n_params if record.student else None


def compression_of(record: EvaluationRecord) -> float | None:
    """Return the teacher's parameters to one of the student."""
    return record.compression.params if record.compression else None


def cells(runs: list[RunRecord]) -> list[Cell]:
    """Return the groups of finished runs that differ in their seed alone, sorted by environment and size."""
    groups = grouped(runs)
    found = [Cell(one.env_id, one.teacher, one.student, one.runs, _across([one.runs])) for one in groups]
    return sorted(found, key=lambda cell: (cell.env_id, cell.teacher, cell.mean(n_params_of) or 0))


def overall(found: list[Cell]) -> AcrossSeeds | None:
    """Return the mean retention over all cells where it is defined."""
    return _across([cell.runs for cell in found if cell.retention is not None])


def suite_charts(found: list[Cell]) -> list[Chart]:
    """Return what there is to draw of a suite."""
    known = [cell for cell in found if cell.retention is not None and math.isfinite(cell.retention.mean)]
    rows = [_row(cell) for cell in known]
    return [] if not rows else [_pareto(rows), _intervals(rows)]


def pareto(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that no other of the same environment beats in both size and return kept.

    Kept where they were chosen, and not in the proof, wherever all of an environment have such a figure.
    """
    by_proof = {row["env"] for row in rows if row.get("chosen") is None}

    def rank(row: dict[str, Any]) -> float:
        return float(row["kept"] if row["env"] in by_proof else row["chosen"])

    best: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["env"], row["params"], -rank(row))):
        if not best or best[-1]["env"] != row["env"] or rank(row) > rank(best[-1]):
            best.append(row)
    return best


def _pareto(rows: list[dict[str, Any]]) -> Chart:
    size = {**number_axis("params", "parameters of the student", zero=False)}
    size["scale"] = {"type": "log"}
    place = {"x": size, "y": number_axis("kept", "return kept", zero=False), "color": _env()}
    layers: list[dict[str, Any]] = [
        {"data": {"values": pareto(rows)}, "mark": {"type": "line", "interpolate": "step-after"}, "encoding": place},
        {
            "mark": {"type": "circle", "size": 90, "opacity": 0.9},
            "encoding": {
                **place,
                "tooltip": tooltip("env", "student", "params", "kept", "chosen", "low", "high", "seeds"),
            },
        },
    ]
    note = (
        "Each dot is a student: what it kept in the proof, the mean over its training seeds. The line is the front by "
        "the episodes that chose them: nothing smaller kept as much there."
    )
    return Chart("Return kept against size", note, layered(layers, rows, height=340, zoom=True))


def _intervals(rows: list[dict[str, Any]]) -> Chart:
    y = {"field": "label", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 260}}
    several = [row for row in rows if None not in (row["low"], row["high"])]
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"at": 1.0}]},
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": TEACHER},
            "encoding": {"x": {"field": "at", "type": "quantitative"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {
                "y": y,
                "x": number_axis("kept", "return kept", zero=False),
                "color": {**_env(), "legend": None},
                "tooltip": tooltip("env", "student", "params", "kept", "low", "high", "seeds"),
            },
        },
    ]
    if several:
        spans = {
            "data": {"values": several},
            "mark": {"type": "rule", "strokeWidth": 3},
            "encoding": {
                "y": y,
                "x": number_axis("low", "return kept", zero=False),
                "x2": {"field": "high"},
                "color": {"condition": {"test": "datum.span == 'range'", "value": RANDOM}, **_env(), "legend": None},
            },
        }
        layers.insert(1, spans)
    note = (
        "Mean over training seeds, with a 95% interval over seeds and episodes; in grey the range of the seeds, where "
        "they do not give one. The dashed line is the teacher."
    )
    return Chart("Retention of every student", note, layered(layers, rows, height=max(80, 26 * len(rows))))


def _env() -> dict[str, Any]:
    return {"field": "env", "type": "nominal", "title": None}


def _row(cell: Cell) -> dict[str, Any]:
    assert cell.retention is not None
    low, high = map(json_number, (cell.retention.low, cell.retention.high))
    return {
        "env": cell.env_id,
        "student": cell.student,
        "label": f"{cell.env_id}  {cell.student}  {cell.teacher}",
        "params": max(cell.mean(n_params_of) or 1, 1),
        "kept": cell.retention.mean,
        "low": low,
        "high": high,
        "span": cell.retention.kind,
        "chosen": cell.rank(),
        "seeds": cell.retention.n_runs,
    }


def _across(groups: list[list[RunRecord]]) -> AcrossSeeds | None:
    """Return what runs keep over the training seeds of each group, without those of undefined retention.

    None where none is left, or one of them says nothing of it.
    """
    groups = [known for runs in groups if (known := [run for run in runs if is_defined(run)])]
    paired = [[run.proof.paired_returns() for run in runs] for runs in groups]
    proofs = [SeedGroup(runs[0].env_id, tuple(filter(None, one))) for runs, one in zip(groups, paired, strict=True)]
    if proofs and all(len(proof.runs) == len(runs) for proof, runs in zip(proofs, groups, strict=True)):
        return across_seeds(proofs)
    retained = [[run.proof.retention or RetentionRecord() for run in runs] for runs in groups]
    kept = [[one.mean for one in runs] for runs in retained]
    iqms = [one.iqm for runs in retained for one in runs]
    if not kept or any(None in runs for runs in kept):
        return None
    return range_over([np.array(runs) for runs in kept], math.nan if None in iqms else float(iqm(np.array(iqms))))


def _mean(values: list[float | None]) -> float | None:
    """Return the mean of numbers; None where there is none, or one is not known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
