"""The table COMPRESSION of RESULTS.md, from the folders of `experiments.compression`.

In: run folders of compressions, each with one of a single run in it. Out: rows, and a section of RESULTS.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.report.conditions.perturbed import falls_text
from policy_distill.report.front import kept_text
from policy_distill.system.wording import times_fewer

SECTION = "## Compression"
"""Heading of the section that is written anew; what comes before and after it stays."""

HEADER = (
    *("environment", "teacher", "its parameters", "seed", "smallest student", "parameters", "x fewer"),
    *("retention, mean", "falls", "verdict", "env steps", "seconds", "one run, seconds"),
)


@dataclass(frozen=True)
class Cell:
    """One compression of an agent."""

    task: str
    seed: int
    folder: Path

    @property
    def one(self) -> Path:
        """The run folder of the winner's network, distilled alone."""
        return self.folder.with_name(f"one-run-{self.seed}")

    @property
    def compressed(self) -> bool:
        """True once its compression has come to an end."""
        return (self.folder / "compression.json").is_file()

    @property
    def done(self) -> bool:
        """True once there is nothing left to run."""
        return self.compressed and (self.one / "evaluation.json").is_file()

    def record(self) -> CompressionRecord:
        """Return what the compression came to.

        Raises:
            RequestError: for a file that holds something else.
        """
        return CompressionRecord.from_json(json.loads((self.folder / "compression.json").read_text()))

    def row(self) -> tuple[str, ...]:
        """Return its row of the table."""
        record, made = self.record(), json.loads((self.folder / "config.json").read_text())
        best, evaluation = record.best, json.loads((self.one / "evaluation.json").read_text())
        teacher = record.teacher.n_params if record.teacher and record.teacher.n_params else 0
        fewer = times_fewer(teacher / best.n_params) if teacher and best.n_params else ""
        verdict = "proven" if record.proven else str(record.verdict)
        costs = (_whole(record.env_steps), _whole(record.wall_seconds), _whole(evaluation["wall_seconds"]))
        return (
            *(str(made["env_id"]), str(made["teacher"].get("algorithm", "")), f"{teacher:,}", str(self.seed)),
            *(str(record.winner), _whole(best.n_params), fewer, kept_text(best)),
            *(falls_text(best.falls.student if best.falls else None), verdict, *costs),
        )


def read_cells(out: Path) -> list[Cell]:
    """Return the compressions in a folder that came to an end, in the order of their names."""
    found = [Cell(path.parent.name, int(path.name.removeprefix("seed-")), path) for path in out.glob("*/seed-*")]
    return sorted((cell for cell in found if cell.done), key=lambda cell: (cell.task, cell.seed))


def rows_of(cells: Sequence[Cell]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the rows of the table, and its header."""
    return [cell.row() for cell in cells], HEADER


def markdown(cells: Sequence[Cell]) -> str:
    """Return the section of RESULTS.md."""
    records = [cell.record() for cell in cells]
    n_proven = sum(bool(record.proven) for record in records)
    bars = ", ".join(sorted({f"{record.bar:.0%}" for record in records if record.bar is not None}))
    lines = [
        SECTION,
        "",
        "Made by `python -m experiments.compression`; no figure is written by hand. For each training seed the",
        f"smallest student that is proven to keep {bars} of the teacher's gain over a random policy; where none is,",
        "the best one. Its retention comes from episodes that neither chose it nor proved another, with a lower bound",
        "(95%).",
        "Parameters are those of the student as it is deployed. Steps are of collecting and choosing, without the",
        "proof; seconds are wall time with the proof, and beside them those of one run of `distill` that makes the",
        "same network alone, from as many steps, with its proof.",
        "",
        f"| {' | '.join(HEADER)} |",
        "|" + "---|" * len(HEADER),
        *(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in cell.row())} |" for cell in cells),
        "",
        f"{n_proven} of {len(cells)} are proven.",
    ]
    return "\n".join(lines) + "\n"


def section_of(text: str, heading: str) -> str:
    """Return a section of a page with its heading, up to the next of the same level; empty where there is none."""
    found = re.search(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found.group().rstrip("\n") + "\n" if found else ""


def with_section(text: str, heading: str, section: str) -> str:
    """Return a page with a section in place of the one of that heading, or at its end."""
    old = section_of(text, heading)
    if old:
        return text.replace(old, section).rstrip("\n") + "\n"
    return f"{text.rstrip()}\n\n{section}" if text else section


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
