"""What an artefact says of itself: the student that it was made of, and how it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.exporters.parity import Parity
from policy_distill.student.record import StudentRecord
from policy_distill.system.records import dump
from policy_distill.system.version import __version__


@dataclass(frozen=True)
class ExportResult:
    """An artefact and what is known of it."""

    path: Path
    """The file or folder."""
    format: str
    """As of `policy_distill.exporters.table.find_format`."""
    n_bytes: int
    """Its size on disk."""
    parity: Parity
    """How its actions compare with the student's, or in eight bits with those of the same arithmetic in NumPy."""
    facts: dict[str, Any]
    """What the format adds: flash and RAM, opset, names of inputs."""
    quantization: dict[str, Any] | None
    """What eight bits cost, where they were asked for: agreement, return kept, bytes."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "path": str(self.path),
            "format": self.format,
            "bytes": self.n_bytes,
            **self.facts,
            "parity": self.parity.to_json(),
            "quantization": self.quantization,
        }


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
