"""What a distillation of several tasks hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.evaluation.parts.tasks_record import TasksRecord
from policy_distill.evaluation.proof.kept import Retention
from policy_distill.evaluation.proof.together import TogetherRecord
from policy_distill.interfaces.stages import Tracker
from policy_distill.run.result import DistillResult, final_metrics
from policy_distill.student.many import ManyTasks


@dataclass(frozen=True)
class ManyResult:
    """One student of several tasks, with its proof in each."""

    student: ManyTasks
    """Its `task(NAME)` acts; it saves itself."""
    results: Mapping[str, DistillResult]
    """By task, what a run of that task alone hands back."""
    record: TasksRecord
    """What `evaluation.json` says."""
    config: DistillConfig
    """The settings that it was made with; `timesteps` are of each task."""
    out: Path | None
    """The run folder, where one was asked for."""

    @property
    def evaluation(self) -> dict[str, Any]:
        """The content of `evaluation.json`, as JSON values."""
        return self.record.to_json()

    @property
    def retention(self) -> dict[str, Retention | None]:
        """By task, the share of its teacher's gain over random that the student keeps; `together` has their mean."""
        return {name: one.retention for name, one in self.results.items()}

    @property
    def together(self) -> TogetherRecord | None:
        """The geometric mean of what is kept, with its interval; None without a proof."""
        return self.record.together


def track_many(result: ManyResult, tracker: Tracker) -> None:
    """Log the proofs and the sizes, and hand the student over as an artifact."""
    record, metrics = result.record, dict[str, float]()
    for name, one in result.results.items():
        of_task = {key: value for key, value in final_metrics(one.record).items() if not key.startswith("time/")}
        metrics |= {f"task/{name}/{metric}": value for metric, value in of_task.items()}
    if (whole := record.together) is not None:
        low, high = whole.ci95 or (None, None)
        values = {"eval/retention": whole.geometric_mean, "eval/retention_low": low, "eval/retention_high": high}
        metrics |= {name: float(value) for name, value in values.items() if value is not None}
    metrics |= {"model/student_params": float(result.student.n_params)}
    metrics |= {"model/student_bytes": float(result.student.n_bytes)}
    metrics |= {"time/wall_seconds": float(record.wall_seconds or 0.0)}
    tracker.log(metrics, record.env_steps or 0)
    values_of_run = record.to_json()
    tracker.summary(values_of_run)
    if result.out:
        said = {"tasks": list(result.results), "together": values_of_run["together"], "env_id": record.env_id}
        tracker.artifact(result.out / "student.safetensors", "student", {**values_of_run["student"], **said})
