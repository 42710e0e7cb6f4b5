"""What a compression found: the Pareto front of cost and return, and `compression.json`.

In: finalists with what was proven of them. Out: records, and a student file for each on the front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.compression.border import Finalist
from policy_distill.compression.few_bits import FewBits
from policy_distill.compression.race import Race
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.parts.front_record import (
    UNTESTED,
    ChosenRecord,
    CompressionRecord,
    DroppedRecord,
    FrontRecord,
)
from policy_distill.evaluation.proof.records import BothFalls, FallsRecord, RetentionRecord
from policy_distill.evaluation.statistics import json_number
from policy_distill.exporters.layers_file import LAYERS, save_layers
from policy_distill.run.result import DistillResult
from policy_distill.student.runtime import Student


@dataclass(frozen=True)
class Point:
    """A student on the front."""

    finalist: Finalist
    """With its student and what it kept on the episodes that choose."""
    comparison: Comparison | None
    """Its proof; None where it was not tested."""

    @property
    def spec(self) -> str:
        """Its network."""
        return self.finalist.candidate.spec

    @property
    def student(self) -> Student:
        """As it is deployed."""
        return self.finalist.student

    @property
    def share(self) -> float:
        """What it keeps: as proven where it was tested, else as it was chosen by."""
        return self.comparison.retention.mean if self.comparison else self.finalist.kept.share

    @property
    def proven(self) -> bool:
        """True where the proof says that it clears the bar."""
        return self.comparison is not None and self.comparison.retention.verdict.outcome == "non-inferior"

    def record(self) -> FrontRecord:
        """Return what files say of it."""
        candidate, found, kept = self.finalist.candidate, self.comparison, self.finalist.kept
        share, error = json_number(kept.share), json_number(kept.error)
        untested = RetentionRecord(mean=share, n_episodes=kept.n_episodes)
        uncounted = BothFalls(student=FallsRecord(kept.n_falls, kept.n_episodes, kept.n_falls / kept.n_episodes))
        return FrontRecord(
            spec=candidate.spec,
            n_params=candidate.n_params,
            n_bytes=candidate.n_bytes,
            macs=candidate.macs,
            cost=candidate.cost,
            retention=found.retention.record() if found else untested,
            falls=found.retention.falls_record() if found else uncounted,
            chosen_by=ChosenRecord(share, error, kept.n_episodes, kept.n_falls),
            verdict=found.retention.verdict.outcome if found else UNTESTED,
            tested=found is not None,
            env_steps=self.finalist.env_steps,
            finetuned=self.finalist.tuned.method if self.finalist.tuned else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return self.record().to_json()


@dataclass(frozen=True)
class CompressionResult:
    """The smallest student that was proven to clear the bar, or the best one, and what else was on the front."""

    student: Student
    """The winner: acts, and saves itself."""
    front: list[Point]
    """Students that no other one beats in both cost and return, the cheapest first."""
    result: DistillResult
    """The winner with its proof, on episodes of its own."""
    record: CompressionRecord
    """What `compression.json` says."""

    @property
    def proven(self) -> bool:
        """True where the winner is proven to clear the bar."""
        return bool(self.record.proven)

    @property
    def compression(self) -> dict[str, Any]:
        """The content of `compression.json`, as JSON values."""
        return self.record.to_json()


def front_of(points: Sequence[Point], winner: str) -> list[Point]:
    """Return the students that no other one beats in both cost and return, the cheapest first.

    What was proven stays, also where luck gave a cheaper one that was not a higher figure; and so does the winner.
    """
    best, kept = float("-inf"), []
    for point in sorted(points, key=lambda one: (one.finalist.candidate.cost, -one.share)):
        better = point.share > best
        if better or point.proven or point.spec == winner:
            kept.append(point)
            best = point.share if better else best
    return kept


def points_of(finalists: Sequence[Finalist], found: Mapping[str, Comparison]) -> list[Point]:
    """Return the finalists with their proofs, by the names of their networks."""
    return [Point(one, found.get(one.candidate.spec)) for one in finalists]


def left_behind(race: Race, judged: Sequence[Point]) -> tuple[DroppedRecord, ...]:
    """Return the networks that nothing was proven of, and starts that diverged, and why.

    The order is that in which they went, then that of cost; `judged` are the finalists.
    """
    known = {candidate.spec: candidate.n_params for candidate in race.candidates}
    known |= {point.spec: point.finalist.candidate.n_params for point in judged}
    rows = [(one.spec, one.env_steps, one.why) for one in race.dropped]
    # One start that diverged is not all of its network.
    named = {one.spec for one in race.dropped if not one.start}
    running = {one.spec for one in race.running}
    least = min(point.finalist.candidate.cost for point in judged)
    for candidate in race.candidates:
        if candidate.spec in named or candidate.spec in {point.spec for point in judged}:
            continue
        passed = _passed_over(candidate.cost < least, race.judge.exhausted)
        rows.append((candidate.spec, race.stream.env_steps, passed if candidate.spec in running else "it diverged"))
    # What a network's best start kept is nothing that one which diverged did.
    kept = {spec: json_number(one.share) for spec, one in race.kept.items() if spec not in {p.spec for p in judged}}
    return tuple(DroppedRecord(spec, known.get(spec), step, why, kept.get(spec)) for spec, step, why in rows)


def _passed_over(smaller: bool, exhausted: bool) -> str:
    """Return why a network was not judged, which is smaller than all that were, or is not."""
    if exhausted:
        return "the budget was used up"
    return "two larger ones seem to miss the bar" if smaller else "a smaller one seems to keep enough"


def save_front(folder: Path, front: Sequence[Point]) -> None:
    """Write `students/<spec>/student.safetensors` for every student on the front, and layers of few bits beside it."""
    for point in front:
        place = folder / "students" / point.spec
        place.mkdir(parents=True, exist_ok=True)
        point.student.save(place / "student.safetensors")
        if isinstance(point.student, FewBits):
            save_layers(place / LAYERS, point.student.layers, point.student.method)
