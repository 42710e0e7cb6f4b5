"""What files say of each of several teachers beside the student that they made together.

In: what was measured, or the JSON values of a file. Out: the other; see `system/records.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_distill.evaluation.policy_records import NOT_MEASURED, ReturnsRecord
from policy_distill.evaluation.proof.records import Ends
from policy_distill.system.records import FLAG, INTERVAL, NUMBER, TEXT, part
from policy_distill.system.wording import digits, signed


@dataclass(frozen=True)
class ApartRecord:
    """One of several teachers alone, on the first of the proof's episodes."""

    algorithm: str | None = part(TEXT)
    source: str | None = part(TEXT)
    """The name of its file; None for a live model."""
    sha256: str | None = part(TEXT)
    returns: ReturnsRecord = part(ReturnsRecord, inline=True)
    n_episodes: int | None = part(NUMBER)
    best: bool | None = part(FLAG)
    """True for the one with the highest mean return."""
    below: bool | None = part(FLAG)
    """True where it is clearly below the best: by more than the margin of the best's gain, with 95%."""
    student_more: float | None = part(NUMBER)
    """Mean return of the student less its own, on the same episodes."""
    student_more_ci95: Ends | None = part(INTERVAL)
    """95% interval of that; two None for too few episodes."""

    def __post_init__(self) -> None:
        """Have returns in any case."""
        object.__setattr__(self, "returns", self.returns or NOT_MEASURED)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Its file, its mean return, what the student returns more, and what is to be said of it, as tables show it."""
        low, high = self.student_more_ci95 or (None, None)
        bounds = "" if low is None or high is None else f" [{signed(low)}, {signed(high)}]"
        more = "" if self.student_more is None else f"{signed(self.student_more)}{bounds}"
        word = "best" if self.best else "clearly below the best" if self.below else ""
        return (self.source or self.algorithm or "", digits(self.returns.mean), more, word)


HEADER_OF_TEACHERS = ("teacher", "mean return", "student's return less its own [95%]", "")


def warnings_of(found: Sequence[ApartRecord]) -> list[str]:
    """Return a line for each teacher that is clearly below the best of them."""
    best = next((one for one in found if one.best), None)
    if best is None:
        return []
    return [
        f"teacher {place} of {len(found)} ({one.row[0]}) returns {digits(one.returns.mean)}, clearly below the "
        f"{digits(best.returns.mean)} of {best.row[0]}, in the same {one.n_episodes} episodes: leave it out, unless it "
        "labels no more than what it knows (--combine best or dispatch)"
        for place, one in enumerate(found, 1)
        if one.below
    ]
