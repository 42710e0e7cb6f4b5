"""A whole suite as one W&B run of the job type `evaluate`: the table of students and the Pareto chart."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from policy_distill.plain_file import read_json_object
from policy_distill.tracking.wandb_run import student_row
from policy_distill.tracking.wandb_start import start


def track_suite(mode: str, out: Path, folders: list[Path]) -> None:
    """Log what the finished runs in `folders` proved.

    Args:
        mode: as of `distill --track`; anything but W&B's modes does nothing.
        out: the suite's folder; its name is the group.
        folders: run folders.
    """
    if mode not in ("offline", "online"):
        return
    rows = [student_row(*pair) for folder in folders if (pair := _read(folder)) is not None]
    tracker = start(mode, out, config={"suite": out.resolve().name}, job_type="evaluate") if rows else None
    if tracker is not None:
        with closing(tracker):
            tracker.students(rows)
            kept = [row[6] for row in rows if row[6] is not None]
            tracker.summary({"n_runs": len(rows), "retention_min": min(kept, default=None)})


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    config, evaluation = (read_json_object(folder / name) for name in ("config.json", "evaluation.json"))
    return (config, evaluation) if config and evaluation else None
