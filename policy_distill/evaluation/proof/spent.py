"""Which episode seeds have been looked at already, and where a fresh proof begins.

In: what teacher and student say of their pasts. Out: a seed. Choosing is not proving: what trained, chose or proved a
student says nothing new of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from policy_distill.interfaces.policies import Policy
from policy_distill.seeds import PROOF, TEACHERS, Span, fresh_start
from policy_distill.student.onboard.origins import StudentProvenance, TeacherProvenance

LOG = logging.getLogger("policy_distill")


def choose_seed(seed: int | None, n_episodes: int, teacher: Policy, *students: Policy) -> int:
    """Return where a comparison begins: at `seed`, or where None is told at the first block that nothing has used.

    A seed that was told is taken as it is; where the past of one of them has used it, that is said.
    """
    # A student may stand in for the teacher.
    used = [span for student in (*students, teacher) for span in spent_by_student(student)]
    trained = spent_by_teacher(teacher)
    if seed is None:
        return fresh_start(PROOF, n_episodes, [*used, *trained])
    _say_met(seed, n_episodes, used, "chose or proved this student before, so they are not new evidence")
    _say_met(seed, n_episodes, trained, "may be among those that the teacher was trained from")
    return seed


def spent_by_teacher(teacher: Policy) -> list[Span]:
    """Return the seeds that its environments may have started from in training, where it says its own seed.

    Of an ensemble those of all its members; of a student that teaches those that chose and proved it, and its own
    teacher's.
    """
    # What a student says is of its own training.
    return [] if teacher.metadata else _of_training(teacher.provenance)


def _of_training(provenance: Any) -> list[Span]:
    if not isinstance(provenance, Mapping):
        return []
    known = TeacherProvenance.of(provenance)
    seed = known.seed
    own = [(int(seed), int(seed) + TEACHERS)] if isinstance(seed, Integral) and not isinstance(seed, bool) else []
    others = [*(known.members or []), known.teacher]
    return own + _pairs(known.spent_seeds) + [span for one in others for span in _of_training(one)]


def _say_met(seed: int, n_episodes: int, spans: list[Span], what: str) -> None:
    for low, high in spans:
        first, end = max(low, seed), min(high, seed + n_episodes)
        if first < end:
            LOG.warning("episodes %d to %d %s; leave the seed out for fresh ones", first, end - 1, what)


def spent_by_student(student: Policy) -> list[Span]:
    """Return the seeds that its record says are spent."""
    origin = StudentProvenance.of(student.metadata.get("provenance"))
    spans = origin.spent_seeds
    if spans is None:
        # Students from before that record: their settings say what their proof looked at.
        config = origin.config or {}
        start, n_episodes = config.get("eval_seed"), config.get("eval_episodes")
        return [(start, start + n_episodes)] if isinstance(start, int) and isinstance(n_episodes, int) else []
    return _pairs(spans)


def _pairs(spans: Any) -> list[Span]:
    found = spans if isinstance(spans, list) else []
    pairs = [tuple(span) for span in found if isinstance(span, list | tuple) and len(span) == 2]
    return [(low, high) for low, high in pairs if isinstance(low, int) and isinstance(high, int)]
