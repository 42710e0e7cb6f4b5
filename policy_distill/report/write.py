"""Writes `report.html` for one run, or for a folder of runs.

In: folders. Out: the page's path. A page is under 2 MB without a video and under 5 MB with one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.headline import assumption_words, headline, verdict_words
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds
from policy_distill.report.charts import run_charts
from policy_distill.report.command import make_again
from policy_distill.report.grouping import left_out
from policy_distill.report.page import Page, Table, render
from policy_distill.report.read_run import Found, Run, find_runs, read_run
from policy_distill.report.suite_charts import cells, overall, suite_charts
from policy_distill.report.tables import flat, perturbed, provenance, returns, runs_table, students, unreadable_table
from policy_distill.student.file import write_atomically
from policy_distill.system.wording import next_step, pairing, sampled_warning, times, times_fewer

LOG = logging.getLogger("policy_distill")

UNDEFINED = "the teacher's returns are not clearly above random ones"
VERDICTS = {"non-inferior": "good", "inferior": "bad"}


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
        raise RequestError(f"the run in {folder} cannot be read; mend or remove the file. {error}") from None
    if run is not None:
        return run_page(run)
    found = find_runs(folder)
    for path, reason in found.unreadable:
        LOG.warning("the run in %s cannot be read. %s", path, reason)
    if found.runs:
        return suite_page(folder, found)
    if found.unreadable:
        raise RequestError(f"expected runs in {folder}, found only such as cannot be read; mend or remove their files")
    raise RequestError(f"expected a run folder (with a config.json) in {folder}, found none; make one with distill")


def try_report(folder: Path) -> None:
    """Write the page at the end of a run; a failure costs a warning and not the run, whose results are on disk."""
    try:
        write_report(folder)
    except Exception as error:
        LOG.warning("report.html could not be written (%s): try policy-distill report %s", error, folder)


def run_page(run: Run) -> Page:
    """Return the page of one run."""
    evaluation = run.evaluation
    notes = _proof_notes(evaluation) if evaluation else ["This run has not ended: what it measured so far."]
    notes += [f"{text[0].upper()}{text[1:]}." for text in (sampled_warning(evaluation), pairing(evaluation)) if text]
    command, why_none = make_again(run.config, run.path)
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
        command=command,
        video=run.video,
        notes=[*notes, *([why_none] if why_none else [])],
    )


def suite_page(folder: Path, in_folder: Found) -> Page:
    """Return the page of several runs."""
    runs, unreadable = in_folder
    found = cells(runs)
    total = overall(found)
    unfinished = sum(not run.evaluation for run in runs)
    figures = [
        (f"{len(runs)}", "runs", f"{len(found)} students"),
        (f"{len({c.env_id for c in found})}", "environments", ""),
    ]
    if total is not None:
        figures.append(_overall_figure(total))
    return Page(
        title=folder.resolve().name,
        subtitle="what small students keep of their teachers",
        badge=None,
        figures=figures,
        charts=suite_charts(found),
        tables=[
            students(found),
            runs_table(folder, runs),
            *([unreadable_table(folder, unreadable)] if unreadable else []),
        ],
        notes=[
            *([f"{unfinished} of the runs have not ended."] if unfinished else []),
            *left_out(runs),
            *(
                [f"{len(unreadable)} runs cannot be read and are left out; they are listed below."]
                if unreadable
                else []
            ),
        ],
    )


def _proof_notes(evaluation: dict[str, Any]) -> list[str]:
    """Return the verdict in words, what to do next, and the teacher's falls: a student is not to blame for those."""
    verdict = (evaluation.get("retention") or {}).get("verdict") or {}
    known = {"outcome", "margin", "alpha", "n_episodes"} <= set(verdict)
    falls, step = headline(evaluation).teacher_falls, next_step(verdict)
    words = [verdict_words(verdict)] if known else []
    words += [f"Assumed: {text}." for text in [assumption_words(verdict, evaluation.get("seed"))] if text]
    return [*words, *([f"Next: {step}."] if step else []), *([f"The teacher: {falls}."] if falls else [])]


def _outcome(evaluation: dict[str, Any]) -> str | None:
    return ((evaluation.get("retention") or {}).get("verdict") or {}).get("outcome")


def _badge(evaluation: dict[str, Any]) -> tuple[str, str] | None:
    outcome = _outcome(evaluation)
    return None if outcome is None else (outcome, VERDICTS.get(outcome, "open"))


def _figures(evaluation: dict[str, Any]) -> list[tuple[str, str, str]]:
    if not evaluation:
        return []
    student = evaluation.get("student", {})
    found = _proof_figures(evaluation) if evaluation.get("retention") else []
    ratio = (evaluation.get("compression") or {}).get("params")
    if ratio is not None:
        found.append(_size_figure(ratio, student.get("n_params", 0)))
    for key, name in (("agreement", "agreement of actions"), ("kl", "KL, nats")):
        if evaluation.get(key) is not None:
            found.append((f"{evaluation[key]:.3g}", name, "on the student's own states"))
    found.append(
        (f"{evaluation.get('env_steps', 0):,}", "environment steps", f"{evaluation.get('wall_seconds', 0):,.1f} s")
    )
    return found


def _overall_figure(total: AcrossSeeds) -> tuple[str, str, str]:
    words = {
        "interval": f"95%: [{total.low:.3f}, {total.high:.3f}]; over seeds and episodes",
        "range": f"range {total.low:.3f} to {total.high:.3f} of the training seeds",
        "none": "no interval; one training seed of each",
        "undefined": UNDEFINED,
    }
    value = "undefined" if total.kind == "undefined" else f"{total.mean:.3f}"
    return (value, "return kept, mean", words[total.kind])


def _size_figure(ratio: float, n_params: int) -> tuple[str, str, str]:
    if ratio > 1.0:
        return (f"{times(ratio)} x", "fewer parameters", f"{n_params:,} are left")
    what = "the student is not smaller than its teacher" if ratio else "the teacher has no parameters"
    return (times_fewer(ratio), "parameters", f"{what}; the student has {n_params:,}")


def _proof_figures(evaluation: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the mean retention, the falls, and the IQM after them."""
    pairs = "episodes" if pairing(evaluation) else "paired episodes"
    first, n_episodes = headline(evaluation), f"{evaluation.get('n_episodes')} {pairs}"
    if first.mean is None:
        return [("undefined", "return kept", UNDEFINED)]
    bound = "no bound" if first.low is None else f"at least {first.low:.3f} (95%)"
    found = [(f"{first.mean:.3f}", "return kept, mean", f"{bound}; {n_episodes}")]
    if first.falls is not None:
        count, _, rest = first.falls.partition(" episodes ")
        found.append((count, "falls", rest))
    if first.iqm is not None:
        found.append((f"{first.iqm:.3f}", "return kept, IQM", "without the best and the worst quarter"))
    return found
