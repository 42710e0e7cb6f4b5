"""The gap between contexts that were seen in training and those that were held out, with its interval.

In: returns of teacher, student and random policy in each context. Out: a `ContextsRecord`. Returns count in gains of
the teacher over a random policy in the environment as it is: contexts in which nobody gains anything stay defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy_distill.environments.perturbations.contexts import Context
from policy_distill.evaluation.contexts.records import ContextRecord, ContextsRecord, GapRecord
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.statistics import json_number

N_RESAMPLES = 2_000
"""Bootstrap resamples."""


@dataclass(frozen=True)
class InContext:
    """What was played in one context."""

    context: Context
    comparison: Comparison


def contexts_record(plain: Comparison, played: Sequence[InContext]) -> ContextsRecord:
    """Return what teacher and student score in each context, and their gaps; `plain` is the environment as it is."""
    zero = float(plain.random.returns.mean())
    gain = float(plain.teacher.returns.mean()) - zero
    gain = gain if gain > 0.0 else float("nan")
    found = [_record(one, zero, gain) for one in played]
    shares = [
        np.stack([(one.comparison.teacher.returns - zero) / gain, (one.comparison.student.returns - zero) / gain])
        for one in played
    ]
    seen = [share for share, one in zip(shares, played, strict=True) if one.context.seen]
    others = [share for share, one in zip(shares, played, strict=True) if not one.context.seen]
    teacher, student, difference = gaps_of(seen, others)
    return ContextsRecord(tuple(found), teacher, student, difference)


def gaps_of(seen: Sequence[np.ndarray], held_out: Sequence[np.ndarray], seed: int = 0) -> list[GapRecord]:
    """Return the gaps of the teacher, of the student, and of the second less the first.

    The interval is a percentile bootstrap that draws contexts anew within each group, and episodes within each context,
    the same ones for teacher and student. Of few contexts such an interval is rather too narrow.

    Args:
        seen: for each context returns of teacher and student, `[2, n]`.
        held_out: likewise.
        seed: of the bootstrap.
    """
    point = _means(seen) - _means(held_out)
    rng = np.random.default_rng(seed)
    drawn = np.array([_drawn(seen, rng) - _drawn(held_out, rng) for _ in range(N_RESAMPLES)])
    known = min(len(seen), len(held_out)) > 1 and bool(np.isfinite(point).all())
    columns = [(point[0], drawn[:, 0]), (point[1], drawn[:, 1]), (point[1] - point[0], drawn[:, 1] - drawn[:, 0])]
    found = []
    for mean, one in columns:
        ends: list[float | None] | None = [float(end) for end in np.percentile(one, (2.5, 97.5))] if known else None
        found.append(GapRecord(json_number(float(mean)), ends))
    return found


def _means(group: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean([one.mean(axis=1) for one in group], axis=0)


def _drawn(group: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return the means of a group whose contexts and episodes are drawn anew, `[2]`."""
    chosen = [group[index] for index in rng.integers(len(group), size=len(group))]
    return _means([one[:, rng.integers(one.shape[1], size=one.shape[1])] for one in chosen])


def _record(one: InContext, zero: float, gain: float) -> ContextRecord:
    of = one.comparison
    played = {"teacher": of.teacher, "student": of.student, "random": of.random}
    means = {name: float(who.returns.mean()) for name, who in played.items()}
    kept = of.record().retention
    clear = kept is not None and kept.outcome != "undefined"
    return ContextRecord(
        one.context.name,
        dict(one.context.values),
        one.context.seen,
        of.teacher.n_episodes,
        **means,
        teacher_share=json_number((means["teacher"] - zero) / gain),
        student_share=json_number((means["student"] - zero) / gain),
        retention=kept.mean if kept is not None and clear else None,
        outcome=kept.outcome if kept is not None else None,
    )
