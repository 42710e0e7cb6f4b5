"""A whole suite as one W&B run of the job type `evaluate`: its table of students, Pareto chart, and best students."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.evaluation.proof.headline import headline, ranks
from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds
from policy_distill.system.files import read_json_object
from policy_distill.tracking.wandb_run import student_row
from policy_distill.tracking.wandb_start import start

PROOF = ("retention", "falls", "selection")
"""Of `evaluation.json`, what goes with the best student."""


@dataclass(frozen=True)
class Finished:
    """A run that has its proof."""

    path: Path
    config: dict[str, Any]
    evaluation: dict[str, Any]


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
                proof = {name: run.evaluation[name] for name in PROOF if name in run.evaluation}
                tracker.best(run.path / "student.safetensors", run.config, proof)
            kept = [mean for run in runs if (mean := headline(run.evaluation).mean) is not None]
            known = {"n_runs": len(rows), "retention_min": min(kept, default=None)}
            tracker.summary(known if (total := overall(runs)) is None else {**known, "retention": total.to_json()})


def best(runs: list[Finished]) -> list[Finished]:
    """Return, of the training seeds of each student, the run that its selection's episodes put first.

    Its proof, on other episodes, is then of a student that was not chosen by it. Undefined retention ranks nowhere.
    """
    groups: dict[tuple[Any, Any], list[Finished]] = defaultdict(list)
    for run in runs:
        groups[run.config.get("env_id"), run.config.get("student")].append(run)
    chosen = []
    for group in groups.values():
        figures = ranks([headline(run.evaluation) for run in group])
        ranked = [(figure, i) for i, figure in enumerate(figures) if figure is not None]
        if ranked:
            # Of equals the first: the order of the seeds knows nothing of the proof.
            chosen.append(group[max(ranked, key=lambda one: (one[0], -one[1]))[1]])
    return [run for run in chosen if (run.path / "student.safetensors").is_file()]


def overall(runs: list[Finished]) -> AcrossSeeds | None:
    """Return the mean retention over all students and training seeds that were proven on known episodes."""
    groups: dict[tuple[Any, Any], list[PairedReturns]] = defaultdict(list)
    # As in a report: what is undefined ranks nowhere, and costs the other training seeds nothing.
    for run in (run for run in runs if headline(run.evaluation).mean is not None):
        if (returns := PairedReturns.of_record(run.evaluation)) is not None:
            groups[run.config.get("env_id"), run.config.get("student")].append(returns)
    return across_seeds([SeedGroup(str(key[0]), tuple(one)) for key, one in groups.items()]) if groups else None


def _read(folder: Path) -> Finished | None:
    config, evaluation = (read_json_object(folder / name) for name in ("config.json", "evaluation.json"))
    return Finished(folder, config, evaluation) if config and evaluation else None
