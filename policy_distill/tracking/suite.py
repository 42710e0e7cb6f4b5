"""A whole suite as one W&B run of the job type `evaluate`: its table of students, Pareto chart, and best students."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.paired_returns import PairedReturns
from policy_distill.plain_file import read_json_object
from policy_distill.tracking.wandb_run import student_row
from policy_distill.tracking.wandb_start import start
from policy_distill.training_seeds import AcrossSeeds, SeedGroup, across_seeds


@dataclass(frozen=True)
class Finished:
    """A run that has its proof."""

    path: Path
    config: dict[str, Any]
    evaluation: dict[str, Any]

    @property
    def low(self) -> float | None:
        """The lower end of the retention's interval; None where it is undefined."""
        kept = self.evaluation.get("retention") or {}
        return (kept.get("ci95") or (None,))[0]


def track_suite(mode: str, out: Path, folders: list[Path]) -> None:
    """Log what the finished runs in `folders` proved.

    Args:
        mode: as of `distill --track`; anything but W&B's modes does nothing.
        out: the suite's folder; its name is the group.
        folders: run folders.
    """
    if mode not in ("offline", "online"):
        return
    runs = [run for folder in folders if (run := _read(folder)) is not None]
    tracker = start(mode, out, config={"suite": out.resolve().name}, job_type="evaluate") if runs else None
    if tracker is not None:
        with closing(tracker):
            rows = [student_row(run.config, run.evaluation) for run in runs]
            tracker.students(rows)
            for run in best(runs):
                retention = run.evaluation["retention"]
                tracker.best(run.path / "student.safetensors", run.config, {"retention": retention})
            kept = [row[6] for row in rows if row[6] is not None]
            known = {"n_runs": len(rows), "retention_min": min(kept, default=None)}
            tracker.summary(known if (total := overall(runs)) is None else {**known, "retention": total.to_json()})


def best(runs: list[Finished]) -> list[Finished]:
    """Return, of the training seeds of each student, the run whose retention's interval has the highest lower end."""
    found: dict[tuple[Any, Any], Finished] = {}
    for run in runs:
        key = (run.config.get("env_id"), run.config.get("student"))
        known = found.get(key)
        if run.low is not None and (known is None or known.low is None or run.low > known.low):
            found[key] = run
    return [run for run in found.values() if (run.path / "student.safetensors").is_file()]


def overall(runs: list[Finished]) -> AcrossSeeds | None:
    """Return the mean retention over all students and training seeds that were proven on known episodes."""
    groups: dict[tuple[Any, Any], list[PairedReturns]] = defaultdict(list)
    for run in runs:
        if (returns := PairedReturns.of_record(run.evaluation)) is not None:
            groups[run.config.get("env_id"), run.config.get("student")].append(returns)
    return across_seeds([SeedGroup(str(key[0]), tuple(one)) for key, one in groups.items()]) if groups else None


def _read(folder: Path) -> Finished | None:
    config, evaluation = (read_json_object(folder / name) for name in ("config.json", "evaluation.json"))
    return Finished(folder, config, evaluation) if config and evaluation else None
