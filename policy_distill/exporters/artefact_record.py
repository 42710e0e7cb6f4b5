"""What an artefact says of itself: the student that it was made of, and how it was checked."""

from __future__ import annotations

from typing import Any

from policy_distill.exporters.parity import Parity
from policy_distill.student.record import StudentRecord
from policy_distill.system.records import dump
from policy_distill.system.version import __version__


def make_record(
    student: StudentRecord, format: str, parity: Parity | None, quantization: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the metadata that an artefact carries."""
    said = student.description
    return {
        "format": format,
        "policy_distill": __version__,
        "student_sha256": said.sha256,
        "parity": None if parity is None else parity.to_json(),
        "quantization": quantization,
        "observation_space": said.observation_space,
        "action_space": said.action_space,
        "distribution": dump(said.distribution),
        "retention": said.retention,
        "observation_normalization": said.normalizer is not None,
        "provenance": said.provenance,
        **({} if (wiring := said.wiring.to_json()) is None else {"wiring": wiring}),
    }
