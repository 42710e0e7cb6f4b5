"""Where a student comes from: teacher, environment, settings and versions.

Without a clock, so that the same run gives the same file.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.student.features import dump_normalizer

LIBRARIES = ("policy-distill", "torch", "numpy", "gymnasium", "stable-baselines3", "sb3-contrib")


def identity_of(teacher: Teacher, envs: Environments, student: str, config: DistillConfig) -> dict[str, Any]:
    """Return what makes a run this run; a resumed run must share all of it."""
    return {
        "env_id": envs.env_id,
        "env": envs.identity.to_json(),
        "student": student,
        "teacher": {key: teacher.provenance.get(key) for key in ("algorithm", "source", "sha256")},
        "config": config.to_json(),
        "library_versions": library_versions(),
    }


def request_of(teacher: Teacher) -> dict[str, Any]:
    """Return the options of the command line that load a teacher; `missing` says why there are none."""
    return teacher.asked_for if teacher.asked_for is not None else {"missing": "its teacher is no file"}


def fingerprint(teacher: Teacher) -> dict[str, Any]:
    """Return what tells a teacher from any other, beyond its file: statistics, wrappers, and what was set by hand.

    One without a file is told by its weights, where it is a network.
    """
    normalizer = json.dumps(dump_normalizer(teacher.normalizer)).encode()
    facts: dict[str, Any] = {
        "normalizer": hashlib.sha256(normalizer).hexdigest(),
        "env_wrappers": list(teacher.env_wrappers),
        "temperature": teacher.calibration if teacher.fixed else None,
        "members": [fingerprint(member) for member in teacher.members],
    }
    weights = None if teacher.provenance.get("sha256") else teacher.weights()
    if weights is not None:
        digest = hashlib.sha256()
        for name, value in weights.items():
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
        facts["weights"] = digest.hexdigest()
    return facts


def provenance_of(identity: dict[str, Any], teacher: Teacher, env_steps: int) -> dict[str, Any]:
    """Return the provenance that a student file carries."""
    return {
        "teacher": teacher.provenance,
        "teacher_sha256": teacher.provenance.get("sha256"),
        "algorithm": teacher.provenance.get("algorithm"),
        "env_id": identity["env_id"],
        "env": identity["env"],
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
