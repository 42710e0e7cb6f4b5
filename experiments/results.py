"""RESULTS.md from run folders: what every student keeps of its teacher, over its training seeds.

python -m experiments.results runs/suite --out RESULTS.md --second-block runs/suite zoo
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.compression_table import section_of, with_section
from experiments.second_block import TwoBlocks, judged_again, overlap
from policy_distill.cli import guarded
from policy_distill.errors import RequestError, one_line
from policy_distill.evaluation.proof.training_seeds import across_seeds
from policy_distill.report.grouping import left_out
from policy_distill.report.read_run import Found, Unreadable, find_runs
from policy_distill.report.suite_charts import Cell, cells, overall
from policy_distill.run.suite.standings import COLUMNS, result_row
from policy_distill.student.file import write_atomically

SECOND_BLOCK = "## The same students on a second block of episodes"


@dataclass(frozen=True)
class Results:
    """Write RESULTS.md."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders with run folders in them."""
    out: Path = Path("RESULTS.md")
    """The file to write."""
    min_seeds: int = 3
    """Students with fewer training seeds are left out, and said to be."""
    second_block: tuple[Path, ...] = ()
    """Folders with the teachers' zips: every student is judged once more, on fresh episodes, and both are shown."""
    section: str = ""
    """Write the table as a section of that name, such as Trees, and leave the rest of the file as it is."""


def main(results: Results) -> None:
    """Write the file and say where it is."""
    runs, unreadable = collected(results.folders)
    found = [cell for cell in cells(runs) if len(cell.runs) >= results.min_seeds]
    if not found:
        raise RequestError(
            f"expected finished runs of at least {results.min_seeds} seeds in {', '.join(map(str, results.folders))}, "
            "found none; make them with python -m experiments.suite"
        )
    too_few = len(cells(runs)) - len(found)
    before = results.out.read_text() if results.out.exists() else ""
    if results.section:
        text = with_section(before, f"## {results.section}", _section(results.section, found))
    else:
        text = markdown(found, too_few, unreadable, results.min_seeds, left_out(runs))
        if results.second_block:
            text += two_blocks(judged_again(found, results.second_block))
        # Other tables stay in the file.
        others = [one for one in re.findall(r"^## .*$", before, re.MULTILINE) if one != SECOND_BLOCK]
        text += "".join(f"\n{section_of(before, heading)}" for heading in others)
    write_atomically(results.out, text.encode(errors="replace"))
    print(results.out)


def collected(folders: tuple[Path, ...]) -> Found:
    """Return the runs in all folders; those that cannot be read are said on stderr too."""
    parts = [find_runs(folder) for folder in folders]
    found = Found([run for part in parts for run in part.runs], [one for part in parts for one in part.unreadable])
    for path, reason in found.unreadable:
        print(one_line(f"{path} is left out, it cannot be read. {reason}"), file=sys.stderr)
    return found


def markdown(
    found: list[Cell], too_few: int, unreadable: list[Unreadable], min_seeds: int, notes: Sequence[str] = ()
) -> str:
    """Return the content of RESULTS.md."""
    episodes = sorted({run.proof.n_episodes or 0 for cell in found for run in cell.runs})
    lines = [
        "# Results",
        "",
        "Made from run folders by `python -m experiments.results`; no figure is written by hand. Retention is the",
        "share of the teacher's gain over a random policy that the student keeps: the mean over training seeds, each",
        f"from {' or '.join(map(str, episodes))} paired episodes, with a 95% interval for new seeds and new episodes.",
        "Where seeds agree so closely that falls which no episode showed could cost more, it is their range instead.",
        "The IQM leaves out rare falls. The verdicts count the seeds whose mean return is proven to be as good as the",
        "teacher's up to 5% of its gain. Falls are episodes that lost more than half of it, with the highest rate that",
        "the proof of any one seed leaves open (95%).",
        "",
        *_table(found),
    ]
    total = overall(found)
    if total is not None:
        lines += ["", f"Over all {total.n_runs} runs on {len({c.env_id for c in found})} environments: {total.text()}."]
    lines += [line for note in notes for line in ("", note)]
    if too_few:
        lines += ["", f"{too_few} students of fewer than {min_seeds} training seeds are left out."]
    if unreadable:
        lines += ["", "Runs that cannot be read are left out:", ""]
        lines += [f"- {_cell(f'{path.as_posix()}: {reason}')}" for path, reason in unreadable]
    lines += [
        "",
        "Teachers' files are named as they were given; seconds are wall time of a run, evaluation included. Sections",
        "of this page were made at different times: where CHANGELOG.md says so, later versions make other students.",
    ]
    return "\n".join(lines) + "\n"


def _section(name: str, found: list[Cell]) -> str:
    """Return the table as a section of its own."""
    made = f"Made by `python -m experiments.results --section {name}`; no figure is written by hand."
    return "\n".join([f"## {name}", "", made, "", *_table(found)]) + "\n"


def _table(found: list[Cell]) -> list[str]:
    rows = ["| " + " | ".join(_cell(text) for text in row) + " |" for row in (COLUMNS, *map(result_row, found))]
    return [rows[0], "|" + "---|" * len(COLUMNS), *rows[1:]]


def two_blocks(judged: list[TwoBlocks]) -> str:
    """Return the section on the same students on two blocks of episodes."""
    kept = [one.kept() for one in judged]
    rows = [(one.cell.env_id, one.cell.student, *both) for one, both in zip(judged, kept, strict=True)]
    if judged:
        first, second = (across_seeds([getattr(one, name) for one in judged]) for name in ("first", "second"))
        rows.append(("all", "", first, second))
    lines = [
        "",
        SECOND_BLOCK,
        "",
        "Nothing was chosen or trained on either block, so the intervals of both should hold the same value.",
        "",
        "| environment | student | first block | second block | overlap |",
        "|---|---|---|---|---|",
        *(f"| {_cell(env)} | {_cell(name)} | {a.text()} | {b.text()} | {overlap(a, b)} |" for env, name, a, b in rows),
    ]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    settings = tyro.cli(Results, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
