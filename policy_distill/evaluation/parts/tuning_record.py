"""What `evaluation.json` says of a fine-tuning: the student that it began with, beside the tuned one.

And of a transfer: what of a student was taken to another task.

In: what was measured, or the JSON values of a file. Out: the other; see `system/records.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy_distill.evaluation.policy_records import ReturnsRecord
from policy_distill.system.records import FLAG, NUMBER, TEXT, ListOf, part


@dataclass(frozen=True)
class TuningRecord:
    """An `Improvement`."""

    method: str | None = part(TEXT)
    """`ppo` or `es`."""
    returned: str | None = part(TEXT)
    """`tuned`, or `began_with` where the tuned student was not proven to be better."""
    outcome: str | None = part(TEXT)
    """`better`, `worse` or `undecided`, at 5%."""
    p_value: float | None = part(NUMBER)
    """Of "the tuned student gains nothing over the one that it began as"."""
    gain: float | None = part(NUMBER)
    """Mean return of the tuned student less that of the other, on the same episodes."""
    n_episodes: int | None = part(NUMBER)
    seed: int | None = part(NUMBER)
    """Of the first of these episodes, which no other figure rests on."""
    began_with: ReturnsRecord | None = part(ReturnsRecord)
    tuned: ReturnsRecord | None = part(ReturnsRecord)

    @property
    def kept_tuned(self) -> bool:
        """True where the tuned student was returned."""
        return self.returned == "tuned"

    @property
    def words(self) -> str:
        """What came of it, in a line."""
        if None in (self.outcome, self.gain, self.n_episodes):
            return "not measured: the tuned student was returned as it is"
        gained = f"{self.gain:+.4g} in the mean of {self.n_episodes} episodes"
        if self.kept_tuned:
            return f"better than the student that it began with: {gained} (p = {self.p_value:.2g})"
        return f"not proven better ({self.outcome}): {gained}; the student that it began with was returned"


@dataclass(frozen=True)
class MovedRecord:
    """What became of one part of a student in another task."""

    name: str | None = part(TEXT)
    """`layer 1`, `head`, `log_std`, `observation statistics`, `action bounds`."""
    became: str | None = part(TEXT)
    """`copied`, `resized` or `begun anew`."""
    said: str | None = part(TEXT)
    """How, in words."""
    frozen: bool | None = part(FLAG)
    """True where it stays as it came."""

    @property
    def row(self) -> tuple[str, str, str]:
        """Return its row in a table."""
        return (self.name or "", f"{self.became or ''}{', frozen' if self.frozen else ''}", self.said or "")


@dataclass(frozen=True)
class TransferRecord:
    """A student that went on in another task."""

    by: str | None = part(TEXT)
    """`reward`, or `teacher` where one of the new task taught it."""
    began_in: str | None = part(TEXT)
    """The environment that it comes from, in words."""
    parts: tuple[MovedRecord, ...] | None = part(ListOf(MovedRecord))

    @property
    def words(self) -> str:
        """What was taken along, in a line."""
        count = [one.became for one in self.parts or () if one.became]
        parts = [f"{count.count(what)} {what}" for what in ("copied", "resized", "begun anew") if what in count]
        return f"from {self.began_in or 'an unknown environment'}, by {self.by}: {', '.join(parts)}"
