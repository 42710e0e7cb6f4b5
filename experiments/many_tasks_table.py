"""The section Several tasks of RESULTS.md, from the folders of `experiments.many_tasks`.

In: run folders. Out: rows, and the section.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from policy_distill.evaluation.parts.tasks_record import TasksRecord
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.together import TogetherRecord, taken_together
from policy_distill.evaluation.records import EvaluationRecord

SECTION = "## Several tasks"
"""Heading of the section that is written anew."""
HEADER = (
    *("tasks", "seed", "steps of all", "episodes of all", "student", "parameters", "x the largest single one"),
    "of all single ones",
    *("each task kept, mean (verdict)", "geometric mean [95%]", "single students: parameters, kept, mean"),
    "single students, geometric mean",
)


@dataclass(frozen=True)
class Row:
    """One student of several tasks, and students of one task each."""

    name: str
    seed: int
    network: str
    whole: TasksRecord
    singles: Mapping[str, EvaluationRecord]

    @property
    def n_params(self) -> int:
        """Of the student of all tasks."""
        return int((self.whole.student.n_params if self.whole.student else None) or 0)

    @property
    def n_single(self) -> list[int]:
        """Of each student of one task."""
        return [int((one.student.n_params if one.student else None) or 0) for one in self.singles.values()]

    def line(self) -> str:
        """Return the row in words, as it is made."""
        return f"{self.name} {self.seed}: " + ", ".join(map(str, self.cells()[2:]))

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        alone = [
            f"{name} {n:,}, {_kept(self.singles[name])}" for name, n in zip(self.singles, self.n_single, strict=True)
        ]
        return (
            self.name,
            str(self.seed),
            f"{self.whole.env_steps or 0:,}",
            f"{self.whole.n_episodes or 0:,}",
            self.network,
            f"{self.n_params:,}",
            f"{self.n_params / max(self.n_single):.2f}",
            f"{self.n_params / sum(self.n_single):.2f}",
            "; ".join(
                f"{name} {_kept(one)} ({headline(one).outcome})" for name, one in (self.whole.tasks or {}).items()
            ),
            together_text(self.whole.together),
            "; ".join(alone),
            together_text(self.alone()),
        )

    def alone(self) -> TogetherRecord | None:
        """Return what single students keep together."""
        pairs = [one.paired_returns() for one in self.singles.values()]
        return taken_together(
            [one for one in pairs if one is not None], [one.retention for one in self.singles.values()]
        )


def row_of(name: str, seed: int, whole: Path, singles: Mapping[str, Path]) -> Row:
    """Return the row of run folders.

    Raises:
        RequestError: for a file that holds something else.
    """
    record = TasksRecord.from_json(_json(whole / "evaluation.json"))
    network = str(_json(whole / "config.json")["student"])
    found = {task: EvaluationRecord.from_json(_json(path / "evaluation.json")) for task, path in singles.items()}
    return Row(name, seed, network, record, found)


def markdown(rows: Sequence[Row], parts: str) -> str:
    """Return the section."""
    lines = [
        SECTION,
        "",
        f"Made by `python -m experiments.many_tasks --part {parts}`; no figure is written by hand. One student of",
        "all tasks, beside students of one task each that learnt from as many steps. Kept is the share of the",
        "teacher's gain over a random policy, by mean returns on paired episodes that nobody learnt from or chose by;",
        "the geometric mean is over tasks, with a bootstrap interval over episodes. Parameters that tasks share count",
        "once.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---|" * len(HEADER),
        *("| " + " | ".join(row.cells()) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def together_text(record: TogetherRecord | None) -> str:
    """Return the geometric mean with its interval, or why there is none."""
    if record is None or record.geometric_mean is None:
        return "undefined" if record is not None else "not measured"
    low, high = record.ci95 or (None, None)
    bounds = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{record.geometric_mean:.3f}{bounds}"


def _kept(record: EvaluationRecord) -> str:
    mean = headline(record).mean
    return "undefined" if mean is None else f"{mean:.3f}"


def _json(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found
