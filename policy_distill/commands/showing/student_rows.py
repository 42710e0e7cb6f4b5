"""What `info` says of a student file; it needs NumPy and safetensors alone.

In: a student. Out: a record, and its rows for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from policy_distill.evaluation.parts.view_record import view_record
from policy_distill.student.many import ManyTasks
from policy_distill.student.memory import Memory
from policy_distill.student.onboard.wiring import Wiring
from policy_distill.student.runtime import Student
from policy_distill.system.records import dump


def describe_student(
    path: Path, student: Student, environment: str | None = None, env_kwargs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what a student's file holds, as JSON values.

    `environment` and `env_kwargs` are what it was distilled in, as the caller knows it; by default as its file says it.
    """
    said, origin = student.description, student.origin
    architecture, recorded = said.architecture, origin.env or {}
    return {
        "kind": "student",
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "algorithm": origin.algorithm,
        "environment": environment or recorded.get("id") or origin.env_id,
        "env_kwargs": dict((recorded.get("kwargs") if env_kwargs is None else env_kwargs) or {}),
        "env_wrappers": student.env_wrappers,
        "network": architecture.spec,
        "distribution": said.distribution.family,
        **(dict(view.rows) if (view := view_record(student.view)) else {}),
        "observation_space": said.observation_space,
        "action_space": said.action_space,
        **_wired(said.wiring),
        **({"monitor": said.monitor.summary()} if said.monitor else {}),
        **dump(architecture.sizes),
        **({"critic": student.critic.summary()} if student.critic else {}),
        **({"memory": _remembered(student.plan.memory)} if student.plan.memory.size else {}),
        "normalized_observations": said.normalizer is not None,
        "retention": said.retention,
        "provenance": said.provenance,
        "sha256": said.sha256,
        "format_version": said.format_version,
    }


def describe_tasks(path: Path, student: ManyTasks) -> dict[str, Any]:
    """Return what the tasks share, and in short what each is; `--task NAME` says all of one."""
    each = {}
    for name in student.task_names:
        one = student.task(name)
        kept = one.description.retention or {}
        each[name] = {
            "environment": one.origin.env_id,
            "algorithm": one.origin.algorithm,
            "network": one.description.architecture.spec,
            "n_params": one.n_params,
            "retention": kept.get("mean"),
            "verdict": (kept.get("verdict") or {}).get("outcome"),
        }
    return {
        "kind": "student of several tasks",
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "network": student.network,
        "inputs": student.inputs,
        "task_blind": student.task_blind,
        "n_params": student.n_params,
        "n_bytes": student.n_bytes,
        "tasks": each,
        "format_version": student.in_file["format_version"],
    }


def _wired(wiring: Wiring) -> dict[str, Any]:
    """Return names and rate, where anybody said them."""
    names = {"observation_names": list(wiring.observations), "action_names": list(wiring.actions)}
    found: dict[str, Any] = {key: value for key, value in names.items() if value}
    return found | ({} if wiring.control_hz is None else {"control_hz": wiring.control_hz})


def _remembered(memory: Memory) -> dict[str, int]:
    """Return how many numbers are carried from step to step, and of these by each kind of layer."""
    found = {"size": memory.size}
    for part in memory.parts:
        found[part.kind] = found.get(part.kind, 0) + part.size
    return found


def rows_of(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return the rows of a record, those of records in it by both their names."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield from rows_of(value, f"{prefix}{key}.")
        else:
            yield (f"{prefix}{key}", value if isinstance(value, int) else _text(value))


def _text(value: Any) -> str:
    """Return a value for people; four digits of a number, which --json gives in full."""
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"[:100]
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:100]
