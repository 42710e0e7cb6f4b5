"""Writes `report.html` for one run, or for a folder of runs.

In: folders. Out: the page's path. A page is under 2 MB without a video and under 5 MB with one.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from policy_distill.errors import RequestError
from policy_distill.report.charts import run_charts
from policy_distill.report.page import Page, Table, render
from policy_distill.report.read_run import Run, find_runs, read_run
from policy_distill.report.suite_charts import Cell, cells, overall, suite_charts
from policy_distill.student_file import write_atomically

LOG = logging.getLogger("policy_distill")

MAX_LISTED = 500
"""Rows of a suite's tables."""

VERDICTS = {"non-inferior": "good", "inferior": "bad"}


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into a run folder, or a folder of them, and return its path.

    Raises:
        RequestError: where there is no run in the folder, or its files hold something else than a run's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RequestError(f"expected a run folder or a folder of them, found no folder at {folder}")
    run = read_run(folder)
    runs = [] if run else find_runs(folder)
    if run is None and not runs:
        raise RequestError(f"expected a run folder (with a config.json) in {folder}, found none; make one with distill")
    try:
        html = render(run_page(run) if run else suite_page(folder, runs)).encode()
    except Exception as error:
        # Its JSON may hold anything under the names that are looked for.
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise RequestError(
            f"expected the files of a run in {folder}, found something else in them ({reason}); mend or remove its "
            "config.json and evaluation.json"
        ) from None
    path = folder / "report.html"
    write_atomically(path, html)
    return path


def try_report(folder: Path) -> None:
    """Write the page at the end of a run; a failure costs a warning and not the run, whose results are on disk."""
    try:
        write_report(folder)
    except Exception as error:
        LOG.warning("report.html could not be written (%s): try policy-distill report %s", error, folder)


def run_page(run: Run) -> Page:
    """Return the page of one run."""
    evaluation = run.evaluation
    notes = [] if evaluation else ["This run has not ended: what it measured so far."]
    return Page(
        title=f"{run.env_id}: {run.student}",
        subtitle=f"distilled from {run.teacher}, training seed {run.seed}",
        badge=_badge(evaluation),
        figures=_figures(evaluation),
        charts=run_charts(run),
        tables=[
            *([_returns(evaluation)] if "mean" in evaluation.get("student", {}) else []),
            Table("Settings", (), _flat(run.config.get("config", {})), folded=True),
            Table("Provenance", (), _provenance(run), folded=True),
        ],
        command=run.command(),
        video=run.video,
        notes=notes,
    )


def suite_page(folder: Path, runs: list[Run]) -> Page:
    """Return the page of several runs."""
    found = cells(runs)
    total = overall(found)
    unfinished = sum(not run.evaluation for run in runs)
    figures = [
        (f"{len(runs)}", "runs", f"{len(found)} students"),
        (f"{len({c.env_id for c in found})}", "environments", ""),
    ]
    if total is not None:
        figures.append(_kept_figure(total.to_json(), "over all runs, stratified bootstrap"))
    return Page(
        title=folder.resolve().name,
        subtitle="what small students keep of their teachers",
        badge=None,
        figures=figures,
        charts=suite_charts(found),
        tables=[_students(found), _runs(folder, runs)],
        notes=[f"{unfinished} of the runs have not ended."] if unfinished else [],
    )


def _badge(evaluation: dict[str, Any]) -> tuple[str, str] | None:
    outcome = ((evaluation.get("retention") or {}).get("verdict") or {}).get("outcome")
    return None if outcome is None else (outcome, VERDICTS.get(outcome, "open"))


def _figures(evaluation: dict[str, Any]) -> list[tuple[str, str, str]]:
    if not evaluation:
        return []
    kept, student = evaluation.get("retention") or {}, evaluation.get("student", {})
    found = [_kept_figure(kept, f"{evaluation.get('n_episodes')} paired episodes")]
    ratio = (evaluation.get("compression") or {}).get("params")
    if ratio is not None:
        found.append((f"{ratio:,.1f} x", "fewer parameters", f"{student.get('n_params', 0):,} are left"))
    for key, name in (("agreement", "agreement of actions"), ("kl", "KL, nats")):
        if evaluation.get(key) is not None:
            found.append((f"{evaluation[key]:.4g}", name, "on the student's own states"))
    found.append(
        (f"{evaluation.get('env_steps', 0):,}", "environment steps", f"{evaluation.get('wall_seconds', 0):,.1f} s")
    )
    return found


def _kept_figure(kept: dict[str, Any], how: str) -> tuple[str, str, str]:
    if kept.get("iqm") is None:
        return ("undefined", "return kept", "the teacher's returns are not told apart from random ones")
    low, high = kept["ci95"]
    bounds = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    return (f"{kept['iqm']:.3f}", "return kept, IQM", f"95%:{bounds}; {how}")


def _returns(evaluation: dict[str, Any]) -> Table:
    header = ("policy", "mean", "std", "median", "IQM", "95%", "worst 5%", "parameters", "bytes")
    rows = []
    for name in ("teacher", "student", "random"):
        one = evaluation[name]
        low, high = one.get("ci95", (None, None))
        bounds = "" if low is None else f"{low:,.1f} to {high:,.1f}"
        numbers = [one.get(key, "") for key in ("mean", "std", "median", "iqm")]
        rows.append((name, *numbers, bounds, *(one.get(key, "") for key in ("worst5", "n_params", "n_bytes"))))
    return Table("Returns", header, rows)


def _students(found: list[Cell]) -> Table:
    header = (
        "environment",
        "teacher",
        "student",
        "seeds",
        "retention, IQM",
        "95%",
        "parameters",
        "x fewer",
        "steps",
        "s",
    )
    rows = []
    for cell in found[:MAX_LISTED]:
        kept = cell.retention
        numbers = ("undefined", "") if kept is None else (kept.iqm, f"{kept.ci95[0]:.3f} to {kept.ci95[1]:.3f}")
        sizes = [cell.mean("student", "n_params"), cell.mean("compression", "params")]
        costs = [cell.mean("env_steps"), cell.mean("wall_seconds")]
        rows.append(
            (
                cell.env_id,
                cell.teacher,
                cell.student,
                len(cell.runs),
                *numbers,
                *("" if x is None else x for x in sizes + costs),
            )
        )
    return Table("Students", header, rows)


def _runs(folder: Path, runs: list[Run]) -> Table:
    rows, links = [], []
    for run in runs[:MAX_LISTED]:
        kept = (run.evaluation.get("retention") or {}).get("iqm")
        rows.append(
            (os.path.relpath(run.path, folder), run.env_id, run.student, run.seed, "" if kept is None else kept)
        )
        links.append(quote(f"{Path(os.path.relpath(run.path, folder)).as_posix()}/report.html"))
    return Table("Runs", ("run", "environment", "student", "seed", "retention"), rows, folded=True, links=links)


def _provenance(run: Run) -> list[tuple[str, Any]]:
    values = {key: run.config.get(key) for key in ("env_id", "student", "teacher", "library_versions")}
    return _flat(values)


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in list(values.items())[:200]:
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            # Whole numbers such as seeds are names here, without a comma in them.
            rows.append((f"{prefix}{key}", str(value)))
    return rows
