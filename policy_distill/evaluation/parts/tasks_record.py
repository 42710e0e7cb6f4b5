"""`evaluation.json` of a student of several tasks: what each proved, and what they come to together.

In: what was measured, or the JSON values of a file. Out: the other. Fields that a run of one task has too stand under
the same names, as far as they mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_distill.evaluation.policy_records import PolicyRecord, ReturnsRecord
from policy_distill.evaluation.proof.together import TogetherRecord, taken_together
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.system.records import COUNT, FLAG, NUMBER, TEXT, Each, dump, load, part


@dataclass(frozen=True)
class SinglesRecord:
    """Students of one task each, beside which the one of all is measured."""

    n_params: Mapping[str, int] | None = part(Each(COUNT))
    """By task: of a student of that task alone."""
    given: bool | None = part(FLAG)
    """True where these were named; False where they are networks of the same layers, which were not trained."""
    total: int | None = part(NUMBER)
    """Of all of them."""
    largest: int | None = part(NUMBER)
    of_total: float | None = part(NUMBER)
    """The student of all tasks, as a share of their total."""
    of_largest: float | None = part(NUMBER)
    """The same as a multiple of the largest."""

    @classmethod
    def of(cls, n_params: int, singles: Mapping[str, int], *, given: bool) -> SinglesRecord:
        """Compare a student of `n_params` with those of single tasks."""
        total, largest = sum(singles.values()), max(singles.values())
        return cls(dict(singles), given, total, largest, n_params / total, n_params / largest)


@dataclass(frozen=True)
class TasksRecord:
    """What a run of several tasks proved."""

    env_id: str | None = part(TEXT)
    """Those of all tasks, with a plus between them."""
    seed: int | None = part(NUMBER)
    n_episodes: int | None = part(NUMBER)
    """Paired episodes of all tasks."""
    student: PolicyRecord | None = part(PolicyRecord)
    """Its size alone: returns of different tasks have no mean."""
    together: TogetherRecord | None = part(TogetherRecord)
    singles: SinglesRecord | None = part(SinglesRecord)
    env_steps: int | None = part(NUMBER)
    """Of all tasks."""
    wall_seconds: float | None = part(NUMBER)
    tasks: Mapping[str, EvaluationRecord] | None = part(Each(EvaluationRecord))
    """By name, as of a run of that task alone."""

    @property
    def outcome_words(self) -> str:
        """In how many tasks the student is as good as its teacher; empty without a proof."""
        found = [one.retention.verdict for one in (self.tasks or {}).values() if one.retention is not None]
        n_good = sum(verdict is not None and verdict.outcome == "non-inferior" for verdict in found)
        return f"non-inferior in {n_good} of {len(self.tasks or {})} tasks" if found else ""

    @classmethod
    def from_json(cls, value: Any, where: str = "evaluation.json") -> TasksRecord:
        """Return what the content of a file says.

        Raises:
            RequestError: naming `where` and the field that has another form.
        """
        return load(cls, value, where)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        found = dump(self)
        found["tasks"] = {name: one.to_json() for name, one in (self.tasks or {}).items()}
        return found


def tasks_record(
    tasks: Mapping[str, EvaluationRecord],
    *,
    n_params: int,
    n_bytes: int,
    singles: SinglesRecord,
    seed: int,
    wall_seconds: float,
) -> TasksRecord:
    """Return what all tasks come to, of what each proved."""
    pairs = [one.paired_returns() for one in tasks.values()]
    known = [one for one in pairs if one is not None]
    return TasksRecord(
        env_id=" + ".join(str(one.env_id) for one in tasks.values()),
        seed=seed,
        n_episodes=sum(one.n_episodes or 0 for one in tasks.values()),
        student=PolicyRecord(ReturnsRecord(), n_params, n_bytes),
        together=taken_together(known, [one.retention for one in tasks.values()]),
        singles=singles,
        env_steps=sum(one.env_steps or 0 for one in tasks.values()),
        wall_seconds=wall_seconds,
        tasks=dict(tasks),
    )
