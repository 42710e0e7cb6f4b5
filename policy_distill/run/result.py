"""What a distillation hands back, and the proof as JSON."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.config import DistillConfig
from policy_distill.evaluation.fidelity import Fidelity
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.parts.stop_record import StopRecord
from policy_distill.evaluation.parts.view_record import view_record
from policy_distill.evaluation.policy_records import PolicyRecord, returns_of
from policy_distill.evaluation.proof.headline import proof_metrics
from policy_distill.evaluation.proof.kept import Retention
from policy_distill.evaluation.proof.records import SelectionRecord
from policy_distill.evaluation.proof.scale import Scale, clearly_gains
from policy_distill.evaluation.records import (
    ComparisonRecord,
    EpisodesRecord,
    EvaluationRecord,
    FidelityRecord,
    LeftOutRecord,
    SizeRatios,
)
from policy_distill.evaluation.statistics import json_number
from policy_distill.interfaces.policies import Teacher
from policy_distill.student.runtime import Student


@dataclass(frozen=True)
class DistillResult:
    """A student with its proof."""

    student: Student
    """Acts, and saves itself."""
    comparison: Comparison | None
    """Teacher, student and random policy on paired seeds; None where `eval_episodes` is 0."""
    record: EvaluationRecord
    """What `evaluation.json` says."""
    config: DistillConfig
    """The settings that it was made with."""
    seconds: dict[str, float]
    """Wall time of collect, label, train and evaluate."""
    out: Path | None
    """The run folder, where one was asked for."""

    @property
    def evaluation(self) -> dict[str, Any]:
        """The content of `evaluation.json`, as JSON values."""
        return self.record.to_json()

    @property
    def retention(self) -> Retention | None:
        """The share of the teacher's gain over random that the student keeps."""
        return self.comparison.retention if self.comparison else None


def evaluation_record(
    teacher: Teacher,
    student: Student,
    comparison: Comparison | None,
    fidelity: Fidelity,
    *,
    env_id: str,
    config: DistillConfig,
    selection_returns: np.ndarray | None,
    env_steps: int,
    env_restarts: int,
    wall_seconds: float,
    left_out: LeftOutRecord | None = None,
    stop: StopRecord | None = None,
) -> EvaluationRecord:
    """Return what `evaluation.json` says; without a comparison the returns are left out.

    `selection_returns` `[n]` are those on which the student was chosen.
    """
    found = comparison.record() if comparison else ComparisonRecord(seed=config.eval_seed, n_episodes=0)
    sizes = student.description.architecture.sizes
    n_params, n_bytes, macs = sizes.n_params, sizes.n_bytes, sizes.macs
    return EvaluationRecord(
        env_id=env_id,
        seed=found.seed,
        n_episodes=found.n_episodes,
        teacher=PolicyRecord(returns_of(found.teacher), teacher.n_params, teacher.n_bytes),
        student=PolicyRecord(returns_of(found.student), n_params, n_bytes, macs),
        random=PolicyRecord(returns_of(found.random)),
        paired=found.paired,
        retention=found.retention,
        falls=found.falls,
        scale=found.scale,
        teacher_sampled=found.teacher_sampled,
        selection=_selection(selection_returns, comparison.scale if comparison else None),
        fidelity=FidelityRecord(json_number(fidelity.agreement), json_number(fidelity.kl)),
        view=view_record(student.view),
        compression=SizeRatios(teacher.n_params / max(n_params, 1), teacher.n_bytes / max(n_bytes, 1)),
        episodes=_episodes(comparison),
        env_steps=env_steps,
        stop=stop,
        env_restarts=env_restarts if config.env_restarts else None,
        left_out=left_out,
        wall_seconds=wall_seconds,
    )


def _selection(returns: np.ndarray | None, scale: Scale | None) -> SelectionRecord | None:
    """Return what the student scored where it was chosen, and what share of the teacher's gain there that is."""
    if returns is None or scale is None:
        return None if returns is None else SelectionRecord(float(returns.mean()), None, len(returns))
    teacher, random = scale.teacher[: len(returns)].mean(), scale.random[: len(returns)].mean()
    gains = teacher > random and clearly_gains(scale.teacher, scale.random)
    kept = (returns.mean() - random) / (teacher - random) if gains else math.nan
    return SelectionRecord(float(returns.mean()), json_number(float(kept)), len(returns))


def _episodes(comparison: Comparison | None) -> EpisodesRecord:
    """Return the returns of each policy in the order of their seeds."""
    if comparison is None:
        return EpisodesRecord()
    played = (comparison.teacher, comparison.student, comparison.random)
    return EpisodesRecord(*(one.returns.tolist() for one in played))


def latency_us(student: Student, n_calls: int = 200) -> float:
    """Return the median time of one action for one observation, in microseconds, here and now."""
    student.observation_space.seed(0)
    obs = student.observation_space.sample()
    seconds = []
    for _ in range(n_calls):
        began = time.perf_counter()
        student.act(obs)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)) * 1e6


def final_metrics(record: EvaluationRecord) -> dict[str, float]:
    """Return the metrics of a finished run; what is undefined is left out."""
    teacher, student = record.teacher or PolicyRecord(), record.student or PolicyRecord()
    chosen = record.selection or SelectionRecord()
    values = {
        "eval/student_return": student.returns.mean,
        "eval/teacher_return": teacher.returns.mean,
        "eval/random_return": returns_of(record.random).mean,
        **proof_metrics(record),
        "eval/selection_return": chosen.returned,
        "eval/selection_retention": chosen.retention,
        "model/student_params": student.n_params,
        "model/teacher_params": teacher.n_params,
        "model/compression": record.compression.params if record.compression else None,
        "model/student_bytes": student.n_bytes,
        "model/student_macs": student.macs,
        "rollout/env_restarts": record.env_restarts,
        "time/wall_seconds": record.wall_seconds,
    }
    return {name: float(value) for name, value in values.items() if value is not None}
