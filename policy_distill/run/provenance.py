"""Where a student comes from: teacher, environment, settings and versions.

Without a clock, so that the same run gives the same file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.interfaces.policies import Teacher, WrapperSpec
from policy_distill.interfaces.stepping import Environments
from policy_distill.student.features import dump_normalizer
from policy_distill.student.onboard.origins import StudentProvenance, TeacherProvenance
from policy_distill.system.records import ANYTHING, LIST, OBJECT, TEXT, dump, part

LIBRARIES = ("policy-distill", "torch", "numpy", "gymnasium", "stable-baselines3", "sb3-contrib")


@dataclass(frozen=True)
class TeacherFile:
    """Which teacher a run has, as far as files tell."""

    algorithm: str | None = part(TEXT)
    source: str | None = part(TEXT)
    """The name of its file; None for a live model."""
    sha256: str | None = part(TEXT)
    """Of its file."""


@dataclass(frozen=True)
class RunIdentity:
    """What makes a run this run; a resumed run must share all of it. `config.json` and checkpoints hold it."""

    env_id: str = part(TEXT)
    env: dict[str, Any] = part(OBJECT)
    """The environment's identity; see `environments/identity.py`."""
    student: str = part(TEXT)
    """Its network; of a compression all that it tries."""
    teacher: TeacherFile = part(TeacherFile)
    config: dict[str, Any] = part(OBJECT)
    """Fields of `DistillConfig`."""
    library_versions: dict[str, str] = part(OBJECT)
    compress: dict[str, Any] | None = part(OBJECT, left_out=True)
    """What a compression is to find."""
    finetuning: dict[str, Any] | None = part(OBJECT, left_out=True)
    """What a student that goes on by reward began from, and how."""
    transfer: dict[str, Any] | None = part(OBJECT, left_out=True)
    """What a student began from that a teacher of another task than its own goes on with."""
    tasks: dict[str, Any] | None = part(OBJECT, left_out=True)
    """Of one student of several tasks: what makes each of these this one, and how they share it."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that stands in files, and that trackers are told."""
        return dump(self)


def identity_of(teacher: Teacher, envs: Environments, student: str, config: DistillConfig) -> RunIdentity:
    """Return what makes a run this run."""
    known = TeacherProvenance.of(teacher.provenance)
    return RunIdentity(
        env_id=envs.env_id,
        env=envs.identity.to_json(),
        student=student,
        teacher=TeacherFile(known.algorithm, known.source, known.sha256),
        config=config.to_json(),
        library_versions=library_versions(),
    )


def request_of(teacher: Teacher) -> dict[str, Any]:
    """Return the options of the command line that load a teacher; `missing` says why there are none."""
    return teacher.asked_for if teacher.asked_for is not None else {"missing": "its teacher is not a file"}


@dataclass(frozen=True)
class Fingerprint:
    """What a checkpoint says of a teacher."""

    normalizer: str = part(TEXT)
    """SHA-256 of its statistics."""
    env_wrappers: list[WrapperSpec] = part(LIST)
    temperature: Any = part(ANYTHING)
    """What was set by hand; None where data found it."""
    members: tuple[Fingerprint, ...] = part(LIST)
    weights: str | None = part(TEXT, left_out=True)
    """SHA-256 of them, where it has no file."""
    combine: str | None = part(TEXT, left_out=True)
    """How several teachers say one thing, where that was asked for."""
    files: list[str | None] | None = part(LIST, left_out=True)
    """SHA-256 of the file of each of several teachers; None for one without."""


def fingerprint(teacher: Teacher) -> Fingerprint:
    """Return what tells a teacher from any other, beyond its file: statistics, wrappers, and what was set by hand.

    One without a file is told by its weights, where it is a network.
    """
    normalizer = json.dumps(dump_normalizer(teacher.normalizer)).encode()
    weights, digest = None if teacher.provenance.get("sha256") else teacher.weights(), hashlib.sha256()
    for name, value in (weights or {}).items():
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return Fingerprint(
        normalizer=hashlib.sha256(normalizer).hexdigest(),
        env_wrappers=list(teacher.env_wrappers),
        temperature=teacher.calibration if teacher.fixed else None,
        members=tuple(fingerprint(member) for member in teacher.members),
        weights=None if weights is None else digest.hexdigest(),
        combine=teacher.provenance.get("combine"),
        files=[member.provenance.get("sha256") for member in teacher.members] if teacher.members else None,
    )


def provenance_of(identity: RunIdentity, teacher: Teacher, env_steps: int) -> StudentProvenance:
    """Return the provenance that a student file carries."""
    return StudentProvenance(
        teacher=teacher.provenance,
        teacher_sha256=teacher.provenance.get("sha256"),
        algorithm=teacher.provenance.get("algorithm"),
        env_id=identity.env_id,
        env=identity.env,
        env_wrappers=teacher.env_wrappers,
        env_steps=env_steps,
        seed=identity.config["seed"],
        config=identity.config,
        library_versions=identity.library_versions,
    )


def library_versions() -> dict[str, str]:
    """Return the versions of what is installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
