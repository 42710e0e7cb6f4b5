"""What a teacher's file holds and what belongs to it, in words and numbers, without building an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.interfaces.policies import Teacher
from policy_distill.student.onboard.origins import TeacherProvenance
from policy_distill.teachers.files.needed_statistics import find_statistics
from policy_distill.teachers.files.zip_file import find_zip
from policy_distill.teachers.files.zoo_config import environment_of, packages_of
from policy_distill.teachers.load import load_teacher
from policy_distill.teachers.request import MissingCompanion


def describe_zip(path: str | Path, *, trust: bool = False) -> dict[str, Any]:
    """Return JSON values that describe a teacher's file; errors as of `load_teacher`.

    One whose statistics or wrappers are missing is described too; `missing` says what a teacher of it would need.
    """
    source, path = path, find_zip(Path(path))
    missing = None
    try:
        teacher = load_teacher(source, trust=trust)
        statistics = find_statistics(path, teacher.observation_space, trust)
    except MissingCompanion as error:
        missing, statistics = str(error), None
        teacher = load_teacher(source, trust=trust, vecnormalize=False, wrappers=[])
    known = TeacherProvenance.of(teacher.provenance)
    return {
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "algorithm": known.algorithm,
        "policy_class": known.policy_class,
        "distribution": teacher.family.name,
        "observation_space": str(teacher.observation_space),
        "action_space": str(teacher.action_space),
        "n_params": teacher.n_params,
        "n_bytes": teacher.n_bytes,
        **_world(path, teacher),
        "vecnormalize": str(statistics) if statistics else None,
        "normalized_observations": known.normalized_observations,
        "missing": missing,
        "library_versions": known.library_versions or {},
        "sha256": known.sha256,
        **({"hub": known.hub} if known.hub else {}),
        **({"claimed": known.claimed} if known.claimed else {}),
    }


def _world(path: Path, teacher: Teacher) -> dict[str, Any]:
    """Return what is known of the environment that a teacher was trained in."""
    return {
        "env_id": environment_of(path),
        "env_wrappers": teacher.env_wrappers,
        "env_kwargs": dict(teacher.env_kwargs),
        "gym_packages": packages_of(path),
    }
