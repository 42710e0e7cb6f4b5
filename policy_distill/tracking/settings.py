"""`config.json`: what a run was asked to do, of any version.

In: the JSON values of a file, or of a tracked run's settings. Out: a `RunSettings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.system.records import ANYTHING, OBJECT, TEXT, load, part


@dataclass(frozen=True)
class TeacherFacts:
    """Which teacher it was."""

    algorithm: str | None = part(TEXT)
    source: str | None = part(TEXT)
    """The name of its file; None for a live model."""
    sha256: str | None = part(TEXT)
    """Of its file."""
    env_wrappers: Any = part(ANYTHING, left_out=True)
    """Those put around its environment, where a version noted them here."""
    others: Mapping[str, Any] = part(OBJECT, inline=True)
    """What else a version noted."""


@dataclass(frozen=True)
class RunSettings:
    """What a run was asked to do, and with what it was made."""

    env_id: str | None = part(TEXT)
    env: Mapping[str, Any] | None = part(OBJECT)
    """The environment's identity; see `environments/identity.py`."""
    student: str | None = part(TEXT)
    """Its network."""
    teacher: TeacherFacts | None = part(TeacherFacts)
    config: Mapping[str, Any] | None = part(OBJECT)
    """Fields of `DistillConfig`, of that version."""
    library_versions: Mapping[str, Any] | None = part(OBJECT)
    request: Mapping[str, Any] | None = part(OBJECT)
    """The options of the command line that load the teacher; `missing` says why there are none."""
    others: Mapping[str, Any] = part(OBJECT, inline=True)
    """What else a version noted."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RunSettings:
        """Return what the settings of a tracked run say; nothing where they are not a run's."""
        try:
            return load(cls, config, "settings")
        except RequestError:
            return cls()

    @property
    def seed(self) -> Any:
        """The training seed."""
        return (self.config or {}).get("seed")
