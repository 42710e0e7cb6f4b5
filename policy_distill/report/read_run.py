"""Reads run folders for a report: what a run was asked to do, what it measured, and what it proved.

In: folders. Out: a `Run` each, whose files have the form of `shapes`, or why there is none. Sizes are bounded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from policy_distill.errors import RequestError
from policy_distill.report.command import make_again
from policy_distill.report.shapes import COMPARISON, CONFIG, EVALUATION, checked, is_number, read_object
from policy_distill.system.files import read_plain
from policy_distill.tracking.jsonl import MAX_BYTES, read_metrics
from policy_distill.tracking.metrics import STEP

MAX_ROWS = 400
"""Points of a curve; longer ones are thinned."""
MAX_EPISODES = 1000
"""Episodes of a scatter."""
MAX_VIDEO_BYTES = 2_500_000
"""A longer video stays beside the page: encoded in text it grows by a third."""


@dataclass(frozen=True)
class Run:
    """One run folder."""

    path: Path
    """The folder."""
    config: dict[str, Any]
    """`config.json`."""
    metrics: list[dict[str, Any]]
    """Rows of `metrics.jsonl`, thinned."""
    evaluation: dict[str, Any]
    """`evaluation.json`; empty where the run did not end."""
    perturbed: dict[str, Any]
    """Comparisons under perturbations, by their names; empty where none were made."""
    video: Path | None
    """The video of teacher and student, where there is a small one."""

    @property
    def name(self) -> str:
        """What to call it."""
        return self.path.resolve().name

    @property
    def env_id(self) -> str:
        """The environment."""
        return str(self.config.get("env_id", "unknown environment"))

    @property
    def student(self) -> str:
        """The student's network."""
        return str(self.config.get("student", "unknown student"))

    @property
    def seed(self) -> Any:
        """The training seed."""
        return self.config.get("config", {}).get("seed")

    @property
    def teacher(self) -> str:
        """The teacher, as its file is named."""
        teacher = self.config.get("teacher", {})
        return str(teacher.get("source") or teacher.get("algorithm") or "a live model")

    def curve(self, name: str) -> list[tuple[float, float]]:
        """Return the points (steps, value) of a metric."""
        return [(row[STEP], row[name]) for row in self.metrics if is_number(row.get(name))]

    def command(self) -> str:
        """Return the command line that makes this run again; empty where there is none."""
        return make_again(self.config, self.path)[0]


class Unreadable(NamedTuple):
    """A run folder whose files are not what a run writes."""

    path: Path
    reason: str
    """The file, what was expected in it, and what was found."""


class Found(NamedTuple):
    """What lies in a folder of runs."""

    runs: list[Run]
    unreadable: list[Unreadable]


def read_run(path: Path) -> Run | None:
    """Return the run in a folder; None where there is none.

    Raises:
        RequestError: where a file of the run cannot be read or holds something else, saying which.
    """
    config = _settings(path)
    if config is None:
        return None
    video = path / "video.mp4"
    small = video.is_file() and video.stat().st_size <= MAX_VIDEO_BYTES
    perturbed = read_object(path / "perturbed.json", {})
    return Run(
        path,
        config,
        thinned(_rows(path / "metrics.jsonl"), MAX_ROWS),
        read_object(path / "evaluation.json", EVALUATION),
        {name: checked(one, COMPARISON, f"perturbed.json, {name}") for name, one in perturbed.items()},
        video if small else None,
    )


def find_runs(folder: Path) -> Found:
    """Return all runs in a folder and below it, by their paths, and those that cannot be read."""
    found = Found([], [])
    for path in sorted(folder.rglob("config.json")):
        if "wandb" in path.relative_to(folder).parts:
            continue
        try:
            run = read_run(path.parent)
        except RequestError as error:
            found.unreadable.append(Unreadable(path.parent, str(error)))
        else:
            found.runs.extend([run] if run else [])
    return found


def _settings(path: Path) -> dict[str, Any] | None:
    """Return the settings of a run; None where the file of that name is nobody's or another program's."""
    if not (path / "config.json").exists():
        return None
    try:
        config = read_object(path / "config.json", CONFIG)
        if "env_id" not in config:
            raise RequestError("config.json: expected the settings of a run with an env_id, found none")
    except RequestError:
        if any((path / name).exists() for name in ("evaluation.json", "metrics.jsonl", "student.safetensors")):
            raise
        return None
    return config


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the lines of `metrics.jsonl` that are metrics; one that is cut off or written by others is left out."""
    rows = [row for row in read_metrics(path, lenient=True) if is_number(row[STEP])]
    if not rows and path.exists() and b"\n" in read_plain(path, MAX_BYTES, path.name):
        raise RequestError(f"{path.name}: expected lines that are objects with {STEP}, found none")
    return rows


def thinned(rows: list[Any], n_kept: int) -> list[Any]:
    """Return at most `n_kept` of the rows, evenly spaced, the last among them."""
    if len(rows) <= n_kept:
        return rows
    return [rows[round(i * (len(rows) - 1) / (n_kept - 1))] for i in range(n_kept)]
