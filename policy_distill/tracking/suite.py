"""A whole suite as one W&B run of the job type `evaluate`: its table of students, Pareto chart, and best students."""

from __future__ import annotations

import logging
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.evaluation.proof.headline import headline, ranks
from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.system.files import read_json_object
from policy_distill.system.records import load
from policy_distill.tracking.settings import RunSettings
from policy_distill.tracking.student_row import student_row
from policy_distill.tracking.wandb_start import start

LOG = logging.getLogger("policy_distill")


@dataclass(frozen=True)
class Finished:
    """A run that has its proof."""

    path: Path
    settings: RunSettings
    evaluation: EvaluationRecord

    @property
    def proof(self) -> dict[str, Any]:
        """What goes with the best student, as JSON values."""
        values = self.evaluation.to_json()
        return {name: values[name] for name in ("retention", "falls", "selection") if name in values}


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
            rows = [student_row(run.settings, run.evaluation) for run in runs]
            tracker.students(rows)
            for run in best(runs):
                tracker.best(run.path / "student.safetensors", run.settings, run.proof)
            kept = [mean for run in runs if (mean := headline(run.evaluation).mean) is not None]
            known = {"n_runs": len(rows), "retention_min": min(kept, default=None)}
            tracker.summary(known if (total := across_runs(runs)) is None else {**known, "retention": total.to_json()})


def best(runs: list[Finished]) -> list[Finished]:
    """Return, of the training seeds of each student, the run that its selection's episodes put first.

    Its proof, on other episodes, is then of a student that was not chosen by it. Undefined retention ranks nowhere.
    """
    groups: dict[tuple[Any, Any], list[Finished]] = defaultdict(list)
    for run in runs:
        groups[run.settings.env_id, run.settings.student].append(run)
    chosen = []
    for group in groups.values():
        figures = ranks([headline(run.evaluation) for run in group])
        ranked = [(figure, i) for i, figure in enumerate(figures) if figure is not None]
        if ranked:
            # Of equals the first: the order of the seeds knows nothing of the proof.
            chosen.append(group[max(ranked, key=lambda one: (one[0], -one[1]))[1]])
    return [run for run in chosen if (run.path / "student.safetensors").is_file()]


def across_runs(runs: list[Finished]) -> AcrossSeeds | None:
    """Return the mean retention over all students and training seeds that were proven on known episodes."""
    groups: dict[tuple[Any, Any], list[PairedReturns]] = defaultdict(list)
    # As in a report: what is undefined ranks nowhere, and costs the other training seeds nothing.
    for run in (run for run in runs if headline(run.evaluation).mean is not None):
        if (returns := run.evaluation.paired_returns()) is not None:
            groups[run.settings.env_id, run.settings.student].append(returns)
    return across_seeds([SeedGroup(str(key[0]), tuple(one)) for key, one in groups.items()]) if groups else None


def _read(folder: Path) -> Finished | None:
    """Return the run in a folder; None where it has not ended, and with a warning where it cannot be read."""
    config, evaluation = (read_json_object(folder / name) for name in ("config.json", "evaluation.json"))
    if not config or not evaluation:
        return None
    try:
        settings = load(RunSettings, config, "config.json")
        if chosen := read_json_object(folder / "compression.json"):
            # A compression was asked for many networks, and its student is the one that it chose.
            settings = replace(settings, student=CompressionRecord.from_json(chosen).winner)
        return Finished(folder, settings, EvaluationRecord.from_json(evaluation))
    except RequestError as error:
        LOG.warning("the run in %s cannot be read. %s", folder, error)
        return None
