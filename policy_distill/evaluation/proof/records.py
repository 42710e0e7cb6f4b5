"""What files say of a proof, field by field in their order. None is what is undefined, or was not kept by a version.

In: a proof, or the JSON values of any version. Out: the other; see `system/records.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from policy_distill.system.records import ENDS, FLAG, INTERVAL, NUMBER, TEXT, part

Ends = Sequence[float | None]
"""The lower and the upper end of an interval; None for one that is not known."""


@dataclass(frozen=True)
class BeyondRecord:
    """An episode that lost more than was assumed to be possible."""

    episode: int | None = part(NUMBER)
    """Its index: it started from the first seed plus this."""
    loss: float | None = part(NUMBER)
    """What it lost, in gains of the teacher over random."""


@dataclass(frozen=True)
class VerdictRecord:
    """A `Verdict`; what its fields mean stands there."""

    outcome: str | None = part(TEXT)
    margin: float | None = part(NUMBER)
    alpha: float | None = part(NUMBER)
    p_value: float | None = part(NUMBER)
    floor: float | None = part(NUMBER)
    margin_return: float | None = part(NUMBER)
    declared: bool | None = part(FLAG)
    n_episodes: int | None = part(NUMBER)
    n_looks: int | None = part(NUMBER)
    beyond: BeyondRecord | None = part(BeyondRecord)

    @property
    def complete(self) -> bool:
        """True where there is enough of it to be put in words."""
        return None not in (self.outcome, self.margin, self.alpha, self.n_episodes)


@dataclass(frozen=True)
class RetentionRecord:
    """A `Retention` but for its falls; what its fields mean stands there."""

    mean: float | None = part(NUMBER)
    mean_low: float | None = part(NUMBER)
    mean_ci95: Ends | None = part(ENDS)
    iqm: float | None = part(NUMBER)
    ci95: Ends | None = part(INTERVAL)
    n_episodes: int | None = part(NUMBER)
    verdict: VerdictRecord | None = part(VerdictRecord)

    @property
    def outcome(self) -> str | None:
        """The verdict's, where there is one."""
        return self.verdict.outcome if self.verdict else None


@dataclass(frozen=True)
class FallsRecord:
    """How often one policy fell: `Falls`."""

    n: int | None = part(NUMBER)
    n_episodes: int | None = part(NUMBER)
    rate: float | None = part(NUMBER)
    rate_high: float | None = part(NUMBER)


@dataclass(frozen=True)
class BothFalls:
    """Falls of teacher and student, below the same line."""

    teacher: FallsRecord | None = part(FallsRecord)
    student: FallsRecord | None = part(FallsRecord)


@dataclass(frozen=True)
class ScaleRecord:
    """A `Scale`: mean returns on the episodes that scaled the proof, and what follows from them."""

    teacher: float | None = part(NUMBER)
    """Mean return."""
    random: float | None = part(NUMBER)
    """Mean return."""
    worst_random: float | None = part(NUMBER)
    """The worst random episode's return."""
    gain: float | None = part(NUMBER)
    fall_line: float | None = part(NUMBER)
    n_episodes: int | None = part(NUMBER)
    declared: bool | None = part(FLAG)


@dataclass(frozen=True)
class SelectionRecord:
    """How the student did on the episodes that chose it."""

    returned: float | None = part(NUMBER, name="return")
    """Mean return."""
    retention: float | None = part(NUMBER)
    """Share of the teacher's gain that was kept there."""
    n_episodes: int | None = part(NUMBER)


class Proven(Protocol):
    """A record with a proof in it: that of a run, or of a comparison, which no selection came before."""

    @property
    def retention(self) -> RetentionRecord | None:
        """What was kept; None where nothing was measured."""

    @property
    def falls(self) -> BothFalls | None:
        """Falls, where they were counted."""

    @property
    def selection(self) -> SelectionRecord | None:
        """What chose the student."""
