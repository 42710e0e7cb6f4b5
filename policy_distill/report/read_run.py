"""Reads run folders for a report: what a run was asked to do, what it measured, and what it proved.

In: folders. Out: a `RunRecord` each, or why there is none. Sizes are bounded here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from policy_distill.errors import RequestError
from policy_distill.evaluation.contexts.records import ContextsRecord
from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.evaluation.parts.tasks_record import TasksRecord
from policy_distill.evaluation.records import ComparisonRecord, EvaluationRecord
from policy_distill.report.command import make_again
from policy_distill.system.files import MAX_JSON, read_plain
from policy_distill.system.records import as_object, is_number, load
from policy_distill.tracking.jsonl import MAX_BYTES, read_metrics
from policy_distill.tracking.metrics import STEP
from policy_distill.tracking.settings import RunSettings, TeacherFacts

JUDGED = "eval/selection_return"
"""A metric of a few rows alone."""
MAX_ROWS = 400
"""Points of a curve; longer ones are thinned."""
MAX_EPISODES = 1000
"""Episodes of a scatter."""
MAX_VIDEO_BYTES = 2_500_000
"""A longer video stays beside the page: encoded in text it grows by a third."""


@dataclass(frozen=True)
class RunRecord:
    """One run folder."""

    path: Path
    """The folder."""
    settings: RunSettings
    """`config.json`."""
    metrics: list[dict[str, Any]]
    """Rows of `metrics.jsonl`, thinned."""
    evaluation: EvaluationRecord | None
    """`evaluation.json`; None where the run did not end."""
    compression: CompressionRecord | None
    """`compression.json`; None where it was no compression, or did not end."""
    perturbed: Mapping[str, ComparisonRecord]
    """Comparisons under perturbations, by their names; empty where none were made."""
    video: Path | None
    """The video of teacher and student, where there is a small one."""
    tasks: TasksRecord | None = None
    """What a student of several tasks proved; None of one with a task alone."""
    contexts: ContextsRecord | None = None
    """The comparison in contexts; None where none was made."""

    @property
    def name(self) -> str:
        """What to call it."""
        return self.path.resolve().name

    @property
    def env_id(self) -> str:
        """The environment."""
        return self.settings.env_id or "unknown environment"

    @property
    def student(self) -> str:
        """The student's network."""
        chosen = self.compression.winner if self.compression else None
        return chosen or self.settings.student or "unknown student"

    @property
    def seed(self) -> Any:
        """The training seed."""
        return self.settings.seed

    @property
    def teacher(self) -> str:
        """The teacher, as its file is named."""
        teacher = self.settings.teacher or TeacherFacts()
        return teacher.source or teacher.algorithm or "a live model"

    @property
    def proof(self) -> EvaluationRecord:
        """What the run proved; nothing where it did not end."""
        return self.evaluation or NOTHING

    def curve(self, name: str) -> list[tuple[float, float]]:
        """Return the points (steps, value) of a metric."""
        return [(row[STEP], row[name]) for row in self.metrics if is_number(row.get(name))]

    def command(self) -> str:
        """Return the command line that makes this run again; empty where there is none."""
        return make_again(self.settings, self.path)[0]


NOTHING = EvaluationRecord()


class Unreadable(NamedTuple):
    """A run folder whose files are not what a run writes."""

    path: Path
    reason: str
    """The file, what was expected in it, and what was found."""


class Found(NamedTuple):
    """What lies in a folder of runs."""

    runs: list[RunRecord]
    unreadable: list[Unreadable]


def read_run(path: Path) -> RunRecord | None:
    """Return the run in a folder; None where there is none.

    Raises:
        RequestError: where a file of the run cannot be read or holds something else, saying which.
    """
    settings = _settings(path)
    if settings is None:
        return None
    video = path / "video.mp4"
    small = video.is_file() and video.stat().st_size <= MAX_VIDEO_BYTES
    names = ("evaluation", "compression", "perturbed", "contexts")
    proof, found, under, around = (_object(path / f"{name}.json") for name in names)
    return RunRecord(
        path,
        settings,
        _thinned_curves(_rows(path / "metrics.jsonl")),
        EvaluationRecord.from_json(proof) if proof else None,
        CompressionRecord.from_json(found) if found else None,
        {name: load(ComparisonRecord, one, f"perturbed.json, {name}") for name, one in under.items()},
        video if small else None,
        TasksRecord.from_json(proof) if "tasks" in proof else None,
        load(ContextsRecord, around, "contexts.json") if around else None,
    )


def find_runs(folder: Path) -> Found:
    """Return all runs in a folder and below it, by their paths, and those that cannot be read."""
    found = Found([], [])
    for path in sorted(folder.rglob("config.json")):
        parts = path.relative_to(folder).parts
        if "wandb" in parts or any(part.startswith(".") for part in parts):
            # The trials of a search lie in a hidden folder: their best is beside it.
            continue
        try:
            run = read_run(path.parent)
        except RequestError as error:
            found.unreadable.append(Unreadable(path.parent, str(error)))
        else:
            found.runs.extend([run] if run else [])
    return found


def _settings(path: Path) -> RunSettings | None:
    """Return the settings of a run; None where the file of that name is nobody's or another program's."""
    if not (path / "config.json").exists():
        return None
    try:
        settings = load(RunSettings, _object(path / "config.json"), "config.json")
        if settings.env_id is None:
            raise RequestError("config.json: expected the settings of a run with an env_id, found none")
    except RequestError:
        if any((path / name).exists() for name in ("evaluation.json", "metrics.jsonl", "student.safetensors")):
            raise
        return None
    return settings


def _object(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one where there is no file.

    Raises:
        RequestError: for a file that cannot be read, is not JSON, or holds no object.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(read_plain(path, MAX_JSON, path.name))
    except (ValueError, RecursionError):
        raise RequestError(f"{path.name}: expected JSON, found something else") from None
    return as_object(value, path.name)


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the lines of `metrics.jsonl` that are metrics; one that is cut off or written by others is left out."""
    rows = [row for row in read_metrics(path, lenient=True) if is_number(row[STEP])]
    if not rows and path.exists() and b"\n" in read_plain(path, MAX_BYTES, path.name):
        raise RequestError(f"{path.name}: expected lines that are objects with {STEP}, found none")
    return rows


def _thinned_curves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return at most `MAX_ROWS` rows, and as many of those whose student was judged: no other row says that."""
    judged = [i for i, row in enumerate(rows) if JUDGED in row]
    kept = {*thinned(list(range(len(rows))), MAX_ROWS), *thinned(judged, MAX_ROWS)}
    return [rows[i] for i in sorted(kept)]


def thinned(rows: list[Any], n_kept: int) -> list[Any]:
    """Return at most `n_kept` of the rows, evenly spaced, the last among them."""
    if len(rows) <= n_kept:
        return rows
    return [rows[round(i * (len(rows) - 1) / (n_kept - 1))] for i in range(n_kept)]
