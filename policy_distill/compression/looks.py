"""How long to look at a student: a glance at many starts of a network, and as many episodes as one needs that is left.

In: students, and who judges them. Out: the one that keeps most, and what it keeps.
"""

from __future__ import annotations

from collections.abc import Sequence

from policy_distill.compression.judge import Judge, Kept
from policy_distill.student.runtime import Student

LOOKS = (20, 40, 80)
"""Episodes after which an estimate may be clear of the bar."""

GLANCES = ((4, 4), (10, 2), (40, 1))
"""Episodes that each student plays, and how many of them are left after that."""


def chosen(judge: Judge, students: Sequence[Student]) -> int:
    """Return the place of the student that keeps most, as far as a few episodes of each tell."""
    left = list(range(len(students)))
    for n_episodes, n_left in GLANCES:
        if judge.exhausted:
            break
        if len(left) > 1:
            found = [(judge.kept(students[place], n_episodes).share, place) for place in left]
            left = [place for _, place in sorted(found, key=lambda one: -one[0])[:n_left]]
    return left[0]


def settled(judge: Judge, student: Student, bar: float) -> Kept:
    """Return what a student keeps, on as many episodes as it takes to be clear of the bar, up to a limit."""
    for n_episodes in LOOKS:
        kept = judge.kept(student, n_episodes)
        if kept.clears(bar) or kept.misses(bar) or judge.exhausted or not kept.known:
            break
    return kept
