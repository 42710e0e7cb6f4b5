"""What a teacher's zip holds, in words and numbers, without building an environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from policy_distill.teachers.load import load_teacher
from policy_distill.teachers.vecnormalize import find_statistics
from policy_distill.teachers.zip_file import find_zip
from policy_distill.teachers.zoo_config import environment_of


def describe_zip(path: str | Path, *, trust: bool = False) -> dict[str, Any]:
    """Return JSON values that describe a teacher's zip; errors as of `load_teacher`."""
    path = find_zip(Path(path))
    teacher = load_teacher(path, trust=trust)
    statistics = find_statistics(path)
    return {
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "algorithm": teacher.provenance["algorithm"],
        "policy_class": teacher.provenance["policy_class"],
        "distribution": teacher.family.name,
        "environment": _environment(path),
        "env_kwargs": dict(getattr(teacher, "env_kwargs", None) or {}),
        "env_wrappers": teacher.env_wrappers,
        "observation_space": str(teacher.observation_space),
        "action_space": str(teacher.action_space),
        "n_params": teacher.n_params,
        "n_bytes": teacher.n_bytes,
        "vecnormalize": str(statistics) if statistics else None,
        "normalized_observations": teacher.provenance["normalized_observations"],
        "library_versions": teacher.provenance.get("library_versions", {}),
        "sha256": teacher.provenance["sha256"],
    }


def _environment(path: Path) -> str | None:
    """Return the id of the environment that an agent was trained in; None where nothing beside it says one."""
    named = environment_of(path)
    return named if re.fullmatch(r"\S+-v\d+", named) else None
