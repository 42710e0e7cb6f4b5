"""Writes `report.html` for one run, or for a folder of runs.

In: folders. Out: the page's path. A page is under 2 MB without a video and under 5 MB with one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.report.charts import run_charts
from policy_distill.report.page import Page, Table, render
from policy_distill.report.read_run import Run, find_runs, read_run
from policy_distill.report.suite_charts import cells, overall, suite_charts
from policy_distill.report.tables import flat, perturbed, provenance, returns, runs_table, students
from policy_distill.student_file import write_atomically

LOG = logging.getLogger("policy_distill")

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
            *([returns(evaluation)] if "mean" in evaluation.get("student", {}) else []),
            *([perturbed(run.perturbed)] if run.perturbed else []),
            Table("Settings", (), flat(run.config.get("config", {})), folded=True),
            Table("Provenance", (), provenance(run), folded=True),
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
        tables=[students(found), runs_table(folder, runs)],
        notes=[f"{unfinished} of the runs have not ended."] if unfinished else [],
    )


def _badge(evaluation: dict[str, Any]) -> tuple[str, str] | None:
    outcome = ((evaluation.get("retention") or {}).get("verdict") or {}).get("outcome")
    return None if outcome is None else (outcome, VERDICTS.get(outcome, "open"))


def _figures(evaluation: dict[str, Any]) -> list[tuple[str, str, str]]:
    if not evaluation:
        return []
    kept, student = evaluation.get("retention") or {}, evaluation.get("student", {})
    found = [_kept_figure(kept, f"{evaluation.get('n_episodes')} paired episodes")] if kept else []
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
    if kept.get("iqm") is None or (kept.get("verdict") or {}).get("outcome") == "undefined":
        return ("undefined", "return kept", "the teacher's returns are not told apart from random ones")
    low, high = kept["ci95"]
    bounds = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    return (f"{kept['iqm']:.3f}", "return kept, IQM", f"95%:{bounds}; {how}")
