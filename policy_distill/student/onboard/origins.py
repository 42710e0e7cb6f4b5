"""Where a student comes from, as its file says it: its teacher, environment, settings and versions.

In: a provenance, as JSON values of whatever version. Out: records; what has another form counts as not said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.system.records import ANYTHING, FLAG, LIST, NUMBER, OBJECT, TEXT, dump, load_known, part


@dataclass(frozen=True)
class TeacherProvenance:
    """Which teacher it was, as files say it; what has another form counts as not said."""

    algorithm: str | None = part(TEXT)
    policy_class: str | None = part(TEXT)
    source: str | None = part(TEXT)
    """The name of its file; None for a live model."""
    sha256: str | None = part(TEXT)
    """Of its file."""
    normalized_observations: bool | None = part(FLAG)
    env_wrappers: list[WrapperSpec] | None = part(LIST)
    """Those that its environment needs, innermost first."""
    vecnormalize: str | None = part(TEXT)
    """The name of the file that its statistics are from."""
    env_kwargs: dict[str, Any] | None = part(OBJECT)
    """Constructor arguments of the environment that it was trained in."""
    library_versions: dict[str, Any] | None = part(OBJECT)
    """Those that its file names."""
    temperature: Any = part(ANYTHING)
    """What its calibration found; see `Teacher.calibration`."""
    seed: Any = part(ANYTHING)
    """Of its training."""
    members: list[Any] | None = part(LIST)
    """The provenance of each teacher that it is made of."""
    teacher: dict[str, Any] | None = part(OBJECT)
    """The provenance of its own teacher, of a student that teaches."""
    spent_seeds: Any = part(ANYTHING)
    """From and up to which seeds it was chosen and proven, of a student that teaches."""
    hub: dict[str, Any] | None = part(OBJECT)
    """Repository, commit and file of the hub that it is from."""
    claimed: dict[str, Any] | None = part(OBJECT)
    """What that repository says it scores."""

    @classmethod
    def of(cls, provenance: Any) -> TeacherProvenance:
        """Return what a teacher's provenance says."""
        return load_known(cls, provenance)


@dataclass(frozen=True)
class StudentProvenance:
    """Where a student comes from: teacher, environment, settings and versions; read as a teacher's."""

    teacher: Mapping[str, Any] | None = part(OBJECT)
    """The teacher's own provenance; `taught_by` reads it."""
    teacher_sha256: str | None = part(TEXT)
    algorithm: str | None = part(TEXT)
    """The teacher's."""
    env_id: str | None = part(TEXT)
    env: Mapping[str, Any] | None = part(OBJECT)
    """The environment's identity; see `environments/identity.py`."""
    env_wrappers: Sequence[WrapperSpec] | None = part(LIST)
    """Those that its environment needs, innermost first."""
    env_steps: int | None = part(NUMBER)
    """Labelled states that it was trained on."""
    seed: int | None = part(NUMBER)
    """Of its training."""
    config: Mapping[str, Any] | None = part(OBJECT)
    """Fields of `DistillConfig`, of that version."""
    library_versions: Mapping[str, Any] | None = part(OBJECT)
    spent_seeds: Any = part(ANYTHING, left_out=True)
    """From and up to which seeds it was chosen and proven."""
    env_statistics: Any = part(ANYTHING, left_out=True)
    """Frozen statistics that its environment normalises observations by."""
    few_bits: Mapping[str, Any] | None = part(OBJECT, left_out=True)
    """By which method, and in which file beside it, its layers have few bits."""
    transfer: Mapping[str, Any] | None = part(OBJECT, left_out=True)
    """What of a student of another task it began with; `evaluation/tuning_record.py` says what stands there."""
    others: Mapping[str, Any] | None = part(OBJECT, inline=True)
    """What else a version noted."""

    @classmethod
    def of(cls, provenance: Any) -> StudentProvenance:
        """Return what a student's provenance says."""
        return load_known(cls, provenance)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that stands in the file."""
        return dump(self)

    @property
    def taught_by(self) -> TeacherProvenance:
        """What it says of its teacher."""
        return TeacherProvenance.of(self.teacher)
