"""What a compression found: the Pareto front of cost and return, and `compression.json`.

In: finalists with what was proven of them. Out: records, and a student file for each on the front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.compression.border import Finalist
from policy_distill.evaluation.paired import Comparison
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
    def share(self) -> float:
        """What it keeps: as proven where it was tested, else as it was chosen by."""
        return self.comparison.retention.mean if self.comparison else self.finalist.kept.share

    @property
    def proven(self) -> bool:
        """True where the proof says that it clears the bar."""
        return self.comparison is not None and self.comparison.retention.verdict.outcome == "non-inferior"

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        candidate, found, kept = self.finalist.candidate, self.comparison, self.finalist.kept
        untested = {"mean": kept.share, "mean_low": None, "error": kept.error, "n_episodes": kept.n_episodes}
        return {
            "spec": candidate.spec,
            "n_params": candidate.n_params,
            "n_bytes": candidate.n_bytes,
            "macs": candidate.macs,
            "cost": candidate.cost,
            "retention": found.retention.to_json() if found else untested,
            "falls": found.retention.falls_json() if found else {"student": {"n": kept.n_falls, "rate_high": None}},
            "verdict": found.retention.verdict.outcome if found else "untested",
            "tested": found is not None,
            "env_steps": self.finalist.env_steps,
        }


@dataclass(frozen=True)
class CompressionResult:
    """The smallest student that was proven to clear the bar, or the best one, and what else was on the front."""

    student: Student
    """The winner: acts, and saves itself."""
    front: list[Point]
    """Students that no other one beats in both cost and return, the cheapest first."""
    result: DistillResult
    """The winner with its proof, on episodes of its own."""
    record: dict[str, Any]
    """The content of `compression.json`."""

    @property
    def proven(self) -> bool:
        """True where the winner is proven to clear the bar."""
        return bool(self.record["proven"])


def front_of(finalists: Sequence[Finalist], found: Mapping[str, Comparison]) -> list[Point]:
    """Return the students that no other one beats in both cost and return, the cheapest first."""
    points = [Point(one, found.get(one.candidate.spec)) for one in finalists]
    points.sort(key=lambda one: (one.finalist.candidate.cost, -one.share))
    best, kept = float("-inf"), []
    for point in points:
        # What was proven stays, also where luck gave a cheaper one that was not a higher figure.
        if point.share > best or point.proven:
            kept.append(point)
            best = max(best, point.share)
    return kept


def save_front(folder: Path, front: Sequence[Point]) -> None:
    """Write `students/<spec>/student.safetensors` for every student on the front."""
    for point in front:
        place = folder / "students" / point.finalist.candidate.spec
        place.mkdir(parents=True, exist_ok=True)
        point.finalist.student.save(place / "student.safetensors")
