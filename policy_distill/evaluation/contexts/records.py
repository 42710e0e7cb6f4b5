"""What `comparison.json` and `contexts.json` say of a comparison in contexts, field by field.

In: what was measured, or the JSON values of a file. Out: the other; see `system/records.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_distill.system.records import ENDS, FLAG, NUMBER, OBJECT, TEXT, ListOf, part


@dataclass(frozen=True)
class ContextRecord:
    """One context."""

    name: str | None = part(TEXT)
    values: Mapping[str, Any] | None = part(OBJECT)
    """Constructor arguments by name, and what perturbs it under `perturb`."""
    seen: bool | None = part(FLAG)
    """True where it is among those of the training."""
    n_episodes: int | None = part(NUMBER)
    teacher: float | None = part(NUMBER)
    """Mean return, as of the student and the random policy."""
    student: float | None = part(NUMBER)
    random: float | None = part(NUMBER)
    teacher_share: float | None = part(NUMBER)
    """What the teacher gains over the random policy of the environment as it is, in units of what it gains there."""
    student_share: float | None = part(NUMBER)
    retention: float | None = part(NUMBER)
    """Share of the teacher's gain in this context that the student keeps; None where that gain is not clear."""
    outcome: str | None = part(TEXT)
    """The verdict in this context."""


@dataclass(frozen=True)
class GapRecord:
    """What is lost from the contexts that were seen to those that were held out."""

    mean: float | None = part(NUMBER)
    """Mean over seen contexts less that over the others, in gains of the teacher in the environment as it is."""
    ci95: list[float | None] | None = part(ENDS)
    """Interval of 95% for other contexts and other episodes; None where a group has a single context."""

    @property
    def words(self) -> str:
        """The gap with its interval, or that there is none."""
        if self.mean is None:
            return "undefined: the teacher gains nothing over a random policy in the environment as it is"
        if self.ci95 is None or None in self.ci95:
            return f"{self.mean:+.3f}, no interval: a group has one context alone"
        low, high = self.ci95
        return f"{self.mean:+.3f} [{low:+.3f}, {high:+.3f}]"


@dataclass(frozen=True)
class ContextsRecord:
    """All contexts of a comparison, and the gaps between what was seen and what was not."""

    contexts: tuple[ContextRecord, ...] | None = part(ListOf(ContextRecord))
    teacher: GapRecord | None = part(GapRecord)
    student: GapRecord | None = part(GapRecord)
    difference: GapRecord | None = part(GapRecord)
    """The student's gap less the teacher's: above 0 the student loses more."""

    @property
    def groups(self) -> dict[str, list[ContextRecord]]:
        """The contexts that were seen, and those that were held out."""
        known = self.contexts or ()
        return {"seen": [one for one in known if one.seen], "held out": [one for one in known if not one.seen]}

    @property
    def varied(self) -> list[str]:
        """The names of what differs between contexts."""
        names = dict.fromkeys(name for one in self.contexts or () for name in one.values or {})
        kinds = {name: {str((one.values or {}).get(name)) for one in self.contexts or ()} for name in names}
        return [name for name, found in kinds.items() if len(found) > 1]

    def gap_words(self) -> list[tuple[str, str]]:
        """Return a line for each gap: whose it is, and how large."""
        found = {"teacher": self.teacher, "student": self.student, "student less teacher": self.difference}
        return [(name, one.words) for name, one in found.items() if one is not None]
