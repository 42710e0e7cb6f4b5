"""Where a student comes from: teacher, environment, settings and versions.

Without a clock, so that the same run gives the same file.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.interfaces import Teacher

LIBRARIES = ("policy-distill", "torch", "numpy", "gymnasium", "stable-baselines3", "sb3-contrib")


def identity_of(teacher: Teacher, env_id: str, student: str, config: DistillConfig) -> dict[str, Any]:
    """Return what makes a run this run; a resumed run must share all of it."""
    return {
        "env_id": env_id,
        "student": student,
        "teacher": {key: teacher.provenance.get(key) for key in ("algorithm", "source", "sha256")},
        "config": config.to_json(),
        "library_versions": library_versions(),
    }


def provenance_of(identity: dict[str, Any], teacher: Teacher, env_steps: int) -> dict[str, Any]:
    """Return the provenance that a student file carries."""
    return {
        "teacher": teacher.provenance,
        "teacher_sha256": teacher.provenance.get("sha256"),
        "algorithm": teacher.provenance.get("algorithm"),
        "env_id": identity["env_id"],
        "env_wrappers": teacher.env_wrappers,
        "env_steps": env_steps,
        "seed": identity["config"]["seed"],
        "config": identity["config"],
        "library_versions": identity["library_versions"],
    }


def library_versions() -> dict[str, str]:
    """Return the versions of what is installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
