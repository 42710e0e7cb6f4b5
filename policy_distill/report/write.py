"""Writes `report.html` for one run, or for a folder of runs.

In: folders. Out: the page's path. A page is under 2 MB without a video and under 5 MB with one.
"""

from __future__ import annotations

import logging
from pathlib import Path

from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.tasks_record import TasksRecord
from policy_distill.evaluation.policy_records import returns_of
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.records import VerdictRecord
from policy_distill.evaluation.proof.words import assumption_words, next_step, pairing, verdict_words
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.report.blindness import blindness_note
from policy_distill.report.charts import run_charts, times_chart
from policy_distill.report.command import make_again
from policy_distill.report.figures import badge, figures, overall_figure
from policy_distill.report.front import standing_words
from policy_distill.report.grouping import left_out
from policy_distill.report.page import Page, Table, render
from policy_distill.report.read_run import Found, RunRecord, find_runs, read_run
from policy_distill.report.suite_charts import cells, overall, suite_charts
from policy_distill.report.tables import (
    by_context,
    flat,
    front,
    moved,
    perturbed,
    provenance,
    returns,
    runs_table,
    students,
    teachers,
    tuned,
    unreadable_table,
)
from policy_distill.report.tasks import badge_of_tasks, charts_of_tasks, figures_of_tasks, table_of_tasks
from policy_distill.report.tree_drawing import drawing_of
from policy_distill.report.tuning import made_words, tuning_note
from policy_distill.student.file import write_atomically

LOG = logging.getLogger("policy_distill")


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into a run folder, or a folder of them, and return its path.

    Raises:
        RequestError: where there is no run in the folder, or its files hold something else than a run's. In a folder
            of runs those that cannot be read are listed, and cost the others nothing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RequestError(f"expected a run folder or a folder of them, found no folder at {folder}")
    page = _page(folder)
    # What is no Unicode in a foreign name becomes a question mark.
    path = folder / "report.html"
    write_atomically(path, render(page).encode(errors="replace"))
    return path


def _page(folder: Path) -> Page:
    try:
        run = read_run(folder)
    except RequestError as error:
        raise RequestError(f"the run in {folder} cannot be read; fix or remove the file. {error}") from None
    if run is not None:
        return tasks_page(run, run.tasks) if run.tasks is not None else run_page(run)
    found = find_runs(folder)
    for path, reason in found.unreadable:
        LOG.warning("the run in %s cannot be read. %s", path, reason)
    if found.runs:
        return suite_page(folder, found)
    if found.unreadable:
        raise RequestError(f"expected runs in {folder}, found only runs that cannot be read; fix or remove their files")
    raise RequestError(f"expected a run folder (with a config.json) in {folder}, found none; make one with distill")


def try_report(folder: Path) -> None:
    """Write the page at the end of a run; a failure costs a warning and not the run, whose results are on disk."""
    try:
        write_report(folder)
    except Exception as error:
        LOG.warning("report.html could not be written (%s): try policy-distill report %s", error, folder)


def run_page(run: RunRecord) -> Page:
    """Return the page of one run."""
    proof = run.proof
    notes = _proof_notes(proof) if run.evaluation else ["This run has not ended: what it measured so far."]
    notes = [*_front_notes(run), *tuning_note(run), *blindness_note(run), *notes]
    beside = (proof.teacher_sampled.warning() if proof.teacher_sampled else "", pairing(proof.paired))
    notes += [f"{text[0].upper()}{text[1:]}." for text in beside if text]
    command, why_none = make_again(run.settings, run.path)
    return Page(
        title=f"{run.env_id}: {run.student}",
        subtitle=f"{made_words(run)}, training seed {run.seed}",
        badge=badge(proof),
        figures=figures(proof) if run.evaluation else [],
        charts=run_charts(run),
        tables=[
            *(front(run.compression) if run.compression else []),
            *([] if returns_of(proof.student).mean is None else [returns(proof)]),
            *([teachers(proof.teachers)] if proof.teachers else []),
            *([tuned(proof.finetuning)] if proof.finetuning else []),
            *([moved(proof.transfer)] if proof.transfer else []),
            *([perturbed(run.perturbed)] if run.perturbed else []),
            *(by_context(run.contexts) if run.contexts else []),
            Table("Settings", (), flat(run.settings.config or {}), folded=True),
            Table("Provenance", (), provenance(run), folded=True),
        ],
        command=command,
        video=run.video,
        drawing=drawing_of(run.path, run.student),
        notes=[*notes, *([why_none] if why_none else [])],
    )


def tasks_page(run: RunRecord, record: TasksRecord) -> Page:
    """Return the page of one student of several tasks."""
    command, why_none = make_again(run.settings, run.path)
    return Page(
        title=f"{run.student}: {len(record.tasks or {})} tasks",
        subtitle=f"{run.env_id}, one student, training seed {run.seed}",
        badge=badge_of_tasks(record),
        figures=figures_of_tasks(record),
        charts=[*charts_of_tasks(run), *(chart for chart in [times_chart(run)] if chart is not None)],
        tables=[
            table_of_tasks(record),
            Table("Settings", (), flat(run.settings.config or {}), folded=True),
            Table("Provenance", (), provenance(run), folded=True),
        ],
        command=command,
        notes=[why_none] if why_none else [],
    )


def suite_page(folder: Path, in_folder: Found) -> Page:
    """Return the page of several runs."""
    runs, unreadable = in_folder
    found = cells(runs)
    total = overall(found)
    unfinished = sum(run.evaluation is None for run in runs)
    totals = [
        (f"{len(runs)}", "runs", f"{len(found)} students"),
        (f"{len({c.env_id for c in found})}", "environments", ""),
    ]
    if total is not None:
        totals.append(overall_figure(total))
    return Page(
        title=folder.resolve().name,
        subtitle="what small students keep of their teachers",
        badge=None,
        figures=totals,
        charts=suite_charts(found),
        tables=[
            students(found),
            runs_table(folder, runs),
            *([unreadable_table(folder, unreadable)] if unreadable else []),
        ],
        notes=[
            *([f"{unfinished} of the runs have not ended."] if unfinished else []),
            *left_out(runs),
            *([f"{len(unreadable)} runs cannot be read and are left out, as listed below."] if unreadable else []),
        ],
    )


def _proof_notes(proof: EvaluationRecord) -> list[str]:
    """Return the verdict in words, what to do next, and the teacher's falls: a student is not to blame for those."""
    verdict = (proof.retention.verdict if proof.retention else None) or VerdictRecord()
    found = {
        "": verdict_words(verdict),
        "Assumed: ": assumption_words(verdict, proof.seed),
        "Next: ": next_step(verdict),
        "The teacher: ": headline(proof).teacher_falls,
    }
    return [f"{name}{text}{'.' if name else ''}" for name, text in found.items() if text]


def _front_notes(run: RunRecord) -> list[str]:
    """Return what a compression claims of its winner, and what would help where it claims nothing."""
    record = run.compression
    if record is None:
        return []
    what = f"{record.winner} is {standing_words(record)}; of what was tried, none smaller by {record.minimize} is"
    claim = what if record.proven else f"{record.winner} is the best student found, {standing_words(record)}"
    return [f"{claim}.", *([f"What would help: {record.advice}."] if record.advice else [])]
