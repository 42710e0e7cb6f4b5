"""The tables of a page."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from policy_distill.evaluation.apart.record import HEADER_OF_TEACHERS, ApartRecord
from policy_distill.evaluation.contexts.records import ContextsRecord
from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.evaluation.parts.tuning_record import TransferRecord, TuningRecord
from policy_distill.evaluation.policy_records import PolicyRecord, returns_of
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.records import ComparisonRecord, EvaluationRecord
from policy_distill.report.conditions.perturbed import CONTEXT_HEADER, HEADER, context_rows, gap_rows, perturbed_rows
from policy_distill.report.front import DROPPED_HEADER, beaten_rows, dropped_rows, front_rows
from policy_distill.report.front import HEADER as HEADER_OF_FRONT
from policy_distill.report.grouping import is_defined
from policy_distill.report.page import Table
from policy_distill.report.read_run import RunRecord, Unreadable
from policy_distill.report.suite_charts import Cell, compression_of, n_params_of
from policy_distill.system.records import dump
from policy_distill.system.wording import digits, times_fewer

MAX_LISTED = 500
"""Rows of a suite's tables."""


def returns(record: EvaluationRecord) -> Table:
    """Return the table of returns and sizes."""
    header = ("policy", "mean", "std", "median", "IQM", "95%", "worst 5%", "parameters", "bytes")
    rows = [_returns("teacher", record.teacher)]
    if record.teacher_sampled is not None:
        rows.append(_returns("teacher by sampling", PolicyRecord(record.teacher_sampled.returns)))
    return Table("Returns", header, [*rows, _returns("student", record.student), _returns("random", record.random)])


def _returns(name: str, policy: PolicyRecord | None) -> tuple[Any, ...]:
    one = returns_of(policy)
    low, high = one.ci95 or (None, None)
    bounds = "" if low is None else f"{digits(low)} to {digits(high)}"
    sizes = (policy.n_params, policy.n_bytes) if policy else (None, None)
    cells = (one.mean, one.std, one.median, one.iqm, bounds, one.worst5, *sizes)
    return (name, *("" if cell is None else cell for cell in cells))


def teachers(found: Sequence[ApartRecord]) -> Table:
    """Return the table of several teachers, each alone."""
    return Table(
        f"Each teacher alone, in {found[0].n_episodes} of the episodes", HEADER_OF_TEACHERS, [one.row for one in found]
    )


def moved(record: TransferRecord) -> Table:
    """Return what of a student of another task was taken along."""
    rows = [one.row for one in record.parts or ()]
    return Table(f"Transferred {record.words}", ("part", "became", "how"), rows)


def tuned(record: TuningRecord) -> Table:
    """Return the table of a fine-tuned student and the one that it began as, on the same episodes."""
    header = ("student", "mean", "std", "median", "IQM", "95%", "worst 5%", "")
    found = {"tuned": record.tuned, "began_with": record.began_with}
    rows = [
        (*_returns(name.replace("_", " "), PolicyRecord(one))[:7], "returned" if name == record.returned else "")
        for name, one in found.items()
        if one is not None
    ]
    return Table("Before and after fine-tuning", header, rows)


def perturbed(records: Mapping[str, ComparisonRecord]) -> Table:
    """Return the table of perturbations."""
    return Table("Under perturbations", HEADER, perturbed_rows(records))


def by_context(record: ContextsRecord) -> list[Table]:
    """Return the tables of the contexts, and of the gap between those that were seen and the others."""
    title = "From seen contexts to those held out, in gains of the teacher in the environment as it is"
    return [Table(title, (), gap_rows(record)), Table("Contexts", CONTEXT_HEADER, context_rows(record))]


def front(record: CompressionRecord) -> list[Table]:
    """Return the table of a compression's front, and those of what was beaten and left behind, folded."""
    more = (
        ("Judged, and beaten by one on the front", HEADER_OF_FRONT, beaten_rows(record)),
        ("Left behind", DROPPED_HEADER, dropped_rows(record)),
    )
    folded = [Table(title, header, rows, folded=True) for title, header, rows in more if rows]
    return [Table("Students on the front", HEADER_OF_FRONT, front_rows(record)), *folded]


def students(found: list[Cell]) -> Table:
    """Return the table of a suite's students, over their training seeds."""
    header = ("environment", "teacher", "student", "seeds", "retention, mean [95%]", "IQM", "non-inferior", "falls")
    rows = []
    for cell in found[:MAX_LISTED]:
        kept = cell.retention
        numbers = ("undefined", "") if kept is None else (kept.text(), kept.iqm if math.isfinite(kept.iqm) else "")
        sizes = [cell.mean(n_params_of), times_fewer(cell.mean(compression_of))]
        costs = [cell.mean(lambda one: one.env_steps), cell.mean(lambda one: one.wall_seconds)]
        known = ("" if x is None else x for x in sizes + costs)
        proof = (f"{cell.outcomes.count('non-inferior')} of {len(cell.runs)}", cell.falls)
        rows.append((cell.env_id, cell.teacher, cell.student, _seeds(cell), *numbers, *proof, *known))
    return Table("Students", (*header, "parameters", "x fewer", "steps", "s"), rows)


def _seeds(cell: Cell) -> str:
    """Return how many training seeds a cell has, and how many of them are in no mean."""
    n_undefined = sum(not is_defined(run) for run in cell.runs)
    return f"{len(cell.runs)}{f', {n_undefined} undefined' if n_undefined else ''}"


def runs_table(folder: Path, runs: list[RunRecord]) -> Table:
    """Return the table of a suite's runs, each with a link to its page."""
    rows, links = [], []
    for run in runs[:MAX_LISTED]:
        first = headline(run.proof)
        kept = first.text() if run.proof.retention else ""
        proof = (kept, first.outcome or "", first.falls or "")
        rows.append((os.path.relpath(run.path, folder), run.env_id, run.student, run.seed, *proof))
        links.append(quote(f"{Path(os.path.relpath(run.path, folder)).as_posix()}/report.html"))
    header = ("run", "environment", "student", "seed", "retention, mean", "verdict", "falls")
    return Table("Runs", header, rows, folded=True, links=links)


def unreadable_table(folder: Path, unreadable: list[Unreadable]) -> Table:
    """Return the table of what cannot be read."""
    rows = [(os.path.relpath(path, folder), reason) for path, reason in unreadable[:MAX_LISTED]]
    return Table("Unreadable runs", ("run", "reason"), rows)


def provenance(run: RunRecord) -> list[tuple[str, Any]]:
    """Return the rows of where a run comes from."""
    known = run.settings
    teacher = None if known.teacher is None else dump(known.teacher)
    values = {"env_id": known.env_id, "env": known.env, "student": known.student, "teacher": teacher}
    return flat({**values, "library_versions": known.library_versions})


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested settings as rows with dotted names."""
    rows: list[tuple[str, Any]] = []
    for key, value in list(values.items())[:200]:
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        else:
            # Whole numbers such as seeds are names here, without a comma in them.
            rows.append((f"{prefix}{key}", str(value)))
    return rows
