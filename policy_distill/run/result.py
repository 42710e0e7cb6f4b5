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
from policy_distill.evaluation.proof.headline import fall_metrics, retention_metrics
from policy_distill.evaluation.proof.kept import Retention
from policy_distill.evaluation.proof.scale import Scale, clearly_gains
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
    evaluation: dict[str, Any]
    """The content of `evaluation.json`."""
    config: DistillConfig
    """The settings that it was made with."""
    seconds: dict[str, float]
    """Wall time of collect, label, train and evaluate."""
    out: Path | None
    """The run folder, where one was asked for."""

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
) -> dict[str, Any]:
    """Return the content of `evaluation.json`; without a comparison the returns are left out.

    `selection_returns` `[n]` are those on which the student was chosen.
    """
    architecture = student.metadata["architecture"]
    sizes = {
        "teacher": {"n_params": teacher.n_params, "n_bytes": teacher.n_bytes},
        "student": {key: architecture[key] for key in ("n_params", "n_bytes", "macs")},
        "random": {},
    }
    proven = comparison.student if comparison else None
    record: dict[str, Any] = {
        "env_id": env_id,
        "seed": proven.seed if proven else config.eval_seed,
        "n_episodes": proven.n_episodes if proven else 0,
    }
    for name, size in sizes.items():
        record[name] = {**(getattr(comparison, name).to_json() if comparison else {}), **size}
    if comparison:
        record["paired"] = comparison.paired
    record["retention"] = comparison.retention.to_json() if comparison else None
    if comparison:
        record |= {"falls": comparison.retention.falls_json(), "scale": comparison.scale.to_json()}
        if comparison.teacher_sampled:
            record["teacher_sampled"] = comparison.teacher_sampled.to_json()
        record["selection"] = _selection(selection_returns, comparison.scale)
    record |= {
        "agreement": json_number(fidelity.agreement),
        "kl": json_number(fidelity.kl),
        "compression": {
            "params": teacher.n_params / max(architecture["n_params"], 1),
            "bytes": teacher.n_bytes / max(architecture["n_bytes"], 1),
        },
        "episodes": _episodes(comparison),
        "env_steps": env_steps,
        **({"env_restarts": env_restarts} if config.env_restarts else {}),
        "wall_seconds": wall_seconds,
    }
    return record


def _selection(returns: np.ndarray | None, scale: Scale) -> dict[str, Any] | None:
    """Return what the student scored where it was chosen, and what share of the teacher's gain there that is."""
    if returns is None:
        return None
    teacher, random = scale.teacher[: len(returns)].mean(), scale.random[: len(returns)].mean()
    gains = teacher > random and clearly_gains(scale.teacher, scale.random)
    kept = (returns.mean() - random) / (teacher - random) if gains else math.nan
    return {"return": float(returns.mean()), "retention": json_number(float(kept)), "n_episodes": len(returns)}


def _episodes(comparison: Comparison | None) -> dict[str, list[float]]:
    """Return the returns of each policy in the order of their seeds."""
    if comparison is None:
        return {}
    return {name: getattr(comparison, name).returns.tolist() for name in ("teacher", "student", "random")}


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


def final_metrics(record: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of a finished run from the content of `evaluation.json`; what is undefined is left out."""
    student, teacher, kept = record["student"], record["teacher"], record["retention"] or {}
    chosen = record.get("selection") or {}
    values = {
        **{f"eval/{name}_return": record[name].get("mean") for name in ("student", "teacher", "random")},
        **retention_metrics(kept),
        **fall_metrics(record),
        "eval/selection_return": chosen.get("return"),
        "eval/selection_retention": chosen.get("retention"),
        "model/student_params": student["n_params"],
        "model/teacher_params": teacher["n_params"],
        "model/compression": record["compression"]["params"],
        "model/student_bytes": student["n_bytes"],
        "model/student_macs": student["macs"],
        "rollout/env_restarts": record.get("env_restarts"),
        "time/wall_seconds": record["wall_seconds"],
    }
    return {name: float(value) for name, value in values.items() if value is not None}
