"""The table of students on a dashboard: a row for each run.

In: a run's settings and its proof, or the front of a compression. Out: a `StudentRow` each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from policy_distill.evaluation.parts.front_record import CompressionRecord, FrontRecord
from policy_distill.evaluation.policy_records import PolicyRecord
from policy_distill.evaluation.proof.headline import Headline, headline
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.tracking.settings import RunSettings


class StudentRow(NamedTuple):
    """A run's student; None is what is not known or undefined."""

    env_id: str | None
    student: str | None
    """Its network."""
    seed: Any
    """The training seed."""
    params: int | None
    bytes: int | None
    compression: float | None
    """The teacher's parameters to one of the student."""
    retention: float | None
    """The mean share of the gain that is kept."""
    low: float | None
    """Its lower bound."""
    verdict: str | None
    falls: str | None
    selection: float | None
    """The share that was kept on the episodes that chose the student."""
    iqm: float | None
    """The share that is kept by interquartile means."""
    returned: float | None
    """Mean return."""


COLUMNS = (*StudentRow._fields[:-1], "return")
"""The names of the columns; `return` is no name for a field."""


def student_row(settings: RunSettings, record: EvaluationRecord) -> StudentRow:
    """Return the row of a run."""
    student, first = record.student or PolicyRecord(), headline(record)
    return StudentRow(
        env_id=settings.env_id,
        student=settings.student,
        seed=settings.seed,
        params=student.n_params,
        bytes=student.n_bytes,
        compression=record.compression.params if record.compression else None,
        retention=first.mean,
        low=first.low,
        verdict=first.outcome,
        falls=first.falls,
        selection=first.chosen_by,
        iqm=first.iqm,
        returned=student.returns.mean,
    )


def front_table(settings: RunSettings, record: CompressionRecord) -> list[StudentRow]:
    """Return the rows of the students on a front; one that was not tested has no retention, for nothing proved it."""
    n_params = record.teacher.n_params if record.teacher else None
    return [_front_row(settings, point, n_params) for point in record.front or ()]


def _front_row(settings: RunSettings, point: FrontRecord, teacher_params: int | None) -> StudentRow:
    first = headline(point) if point.tested else Headline()
    return StudentRow(
        env_id=settings.env_id,
        student=point.spec,
        seed=settings.seed,
        params=point.n_params,
        bytes=point.n_bytes,
        compression=None if teacher_params is None else teacher_params / max(point.n_params or 0, 1),
        retention=first.mean,
        low=first.low,
        verdict=point.verdict,
        falls=first.falls,
        selection=point.chosen_by.share if point.chosen_by else None,
        iqm=first.iqm,
        returned=None,
    )
