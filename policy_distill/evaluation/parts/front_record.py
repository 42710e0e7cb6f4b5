"""`compression.json`: the smallest student that keeps enough, the others on the front, and what was left behind.

In: what a compression found, or the JSON values of its file. Out: the other; see `system/records.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_distill.evaluation.proof.records import BothFalls, RetentionRecord, SelectionRecord
from policy_distill.system.records import FLAG, NUMBER, TEXT, Each, ListOf, dump, load, part

UNTESTED = "untested"
"""The verdict on a student that the proof never came to."""


@dataclass(frozen=True)
class ChosenRecord:
    """What a student kept on the episodes that choose, which prove nothing."""

    share: float | None = part(NUMBER)
    """Of the teacher's gain over random."""
    error: float | None = part(NUMBER)
    """Its standard error."""
    n_episodes: int | None = part(NUMBER)
    n_falls: int | None = part(NUMBER)
    """Episodes that lost more than half of the gain."""


@dataclass(frozen=True)
class FrontRecord:
    """One student, as it is deployed, with its proof where it was tested."""

    spec: str | None = part(TEXT)
    """Its network."""
    n_params: int | None = part(NUMBER)
    n_bytes: int | None = part(NUMBER)
    macs: int | None = part(NUMBER)
    """Multiply-accumulates for one observation."""
    cost: float | None = part(NUMBER)
    """What was minimised, in its own unit."""
    retention: RetentionRecord | None = part(RetentionRecord)
    """As proven; of an untested student the mean on the episodes that choose, without a bound."""
    falls: BothFalls | None = part(BothFalls)
    chosen_by: ChosenRecord | None = part(ChosenRecord)
    verdict: str | None = part(TEXT)
    """That of the proof, or `untested`."""
    tested: bool | None = part(FLAG)
    env_steps: int | None = part(NUMBER)
    """Steps of the stream that it had learnt from."""
    finetuned: str | None = part(TEXT, left_out=True)
    """How reward improved it at the border, `ppo` or `es`; None of one that was distilled alone."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, in the order of the file."""
        return dump(self)

    @property
    def selection(self) -> SelectionRecord | None:
        """What chose it, as of any run."""
        return SelectionRecord(None, self.chosen_by.share, self.chosen_by.n_episodes) if self.chosen_by else None

    @property
    def proven(self) -> bool:
        """True where the proof says that it clears the bar."""
        return self.verdict == "non-inferior"

    @property
    def standing(self) -> str:
        """The verdict as a word: proven where it clears the bar."""
        return "proven" if self.proven else f"tested, {self.verdict}" if self.tested else UNTESTED


@dataclass(frozen=True)
class DroppedRecord:
    """A network that was left behind before anything was proven."""

    spec: str | None = part(TEXT)
    n_params: int | None = part(NUMBER)
    env_steps: int | None = part(NUMBER)
    """Steps of the stream at that time."""
    why: str | None = part(TEXT)
    kept: float | None = part(NUMBER)
    """What its best start kept when it was last judged; None where it never was."""


@dataclass(frozen=True)
class SizeRecord:
    """What acting needs."""

    n_params: int | None = part(NUMBER)
    n_bytes: int | None = part(NUMBER)


@dataclass(frozen=True)
class CompressionRecord:
    """What a compression came to."""

    bar: float | None = part(NUMBER)
    """Share of the teacher's gain over random that was to be kept."""
    minimize: str | None = part(TEXT)
    """What was made small."""
    winner: str | None = part(TEXT)
    """The network of `student.safetensors`."""
    proven: bool | None = part(FLAG)
    """True where the winner is proven to clear the bar."""
    verdict: str | None = part(TEXT)
    """Of the winner's own proof."""
    advice: str | None = part(TEXT)
    """What would help, where it is not proven."""
    front: tuple[FrontRecord, ...] | None = part(ListOf(FrontRecord))
    """Students that no other one beats in both cost and return, the cheapest first."""
    beaten: tuple[FrontRecord, ...] | None = part(ListOf(FrontRecord))
    """Students that were judged too, and that one on the front beats."""
    dropped: tuple[DroppedRecord, ...] | None = part(ListOf(DroppedRecord))
    teacher: SizeRecord | None = part(SizeRecord)
    env_steps: int | None = part(NUMBER)
    """Of collecting, choosing and fine-tuning together, without the proof."""
    env_steps_of: Mapping[str, int] | None = part(Each(NUMBER))
    """Of `collect` and `choose`, and of `finetune` where that was asked for."""
    seconds: Mapping[str, float] | None = part(Each(NUMBER))
    """Of each stage."""
    wall_seconds: float | None = part(NUMBER)
    cost_of_one: float | None = part(NUMBER)
    """Seconds that a single student would have taken on the same stream at least: collecting and labelling."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, in the order of the file."""
        return dump(self)

    @classmethod
    def from_json(cls, values: Any) -> CompressionRecord:
        """Return what a file says.

        Raises:
            RequestError: naming the field that holds something else.
        """
        return load(cls, values, "compression.json")

    @property
    def best(self) -> FrontRecord:
        """The winner."""
        found = (one for one in self.front or () if one.spec == self.winner)
        return next(found, FrontRecord(spec=self.winner))
