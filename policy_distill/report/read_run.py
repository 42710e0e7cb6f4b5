"""Reads run folders for a report: what a run was asked to do, what it measured, and what it proved.

In: folders. Out: a `Run` each. Whatever is missing or broken in a folder is left out; sizes are bounded here.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.plain_file import read_json_object
from policy_distill.tracking.jsonl import read_metrics
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
        return [(row[STEP], row[name]) for row in self.metrics if isinstance(row.get(name), int | float)]

    def command(self) -> str:
        """Return the command line that makes this run again."""
        words = ["policy-distill", "distill", "--teacher", self.teacher, "--env", self.env_id]
        words += ["--student", self.student]
        defaults = DistillConfig().to_json()
        for key, value in self.config.get("config", {}).items():
            if key in defaults and value != defaults[key]:
                words += _option(key, value)
        return shlex.join([*words, "--out", str(self.path.name)])


def read_run(path: Path) -> Run | None:
    """Return the run in a folder; None where there is none."""
    config = read_json_object(path / "config.json")
    if "env_id" not in config:
        return None
    rows = [row for row in read_metrics(path / "metrics.jsonl", lenient=True) if _is_row(row)]
    video = path / "video.mp4"
    small = video.is_file() and video.stat().st_size <= MAX_VIDEO_BYTES
    return Run(
        path,
        config,
        thinned(rows, MAX_ROWS),
        read_json_object(path / "evaluation.json"),
        read_json_object(path / "perturbed.json"),
        video if small else None,
    )


def find_runs(folder: Path) -> list[Run]:
    """Return all runs in a folder and below it, by their paths."""
    paths = (path for path in sorted(folder.rglob("config.json")) if "wandb" not in path.relative_to(folder).parts)
    found = [read_run(path.parent) for path in paths]
    return [run for run in found if run is not None]


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get(STEP), int | float)


def thinned(rows: list[Any], n_kept: int) -> list[Any]:
    """Return at most `n_kept` of the rows, evenly spaced, the last among them."""
    if len(rows) <= n_kept:
        return rows
    return [rows[round(i * (len(rows) - 1) / (n_kept - 1))] for i in range(n_kept)]


def _option(key: str, value: Any) -> list[str]:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", *(map(str, value) if isinstance(value, list) else (str(value),))]
