"""Which episode seeds have been looked at already, and where a fresh proof begins.

In: what teacher and student say of their pasts. Out: a seed. Choosing is not proving: what trained, chose or proved a
student says nothing new of it.
"""

from __future__ import annotations

import logging
from typing import Any

from policy_distill.seeds import PROOF, Span, fresh_start

LOG = logging.getLogger("policy_distill")

MAX_TRAINING_ENVS = 4_096
"""Environments that a teacher may have been trained in side by side: SB3 starts them from its seed and those after."""


def choose_seed(seed: int | None, n_episodes: int, teacher: Any, *students: Any) -> int:
    """Return where a comparison begins: at `seed`, or where None is told at the first block that nothing has used.

    A seed that was told is taken as it is; where a student's past has used it, that is said.
    """
    used = [span for student in students for span in spent_by_student(student)]
    if seed is None:
        return fresh_start(PROOF, n_episodes, [*used, *spent_by_teacher(teacher)])
    for low, high in used:
        if low < seed + n_episodes and seed < high:
            LOG.warning(
                "episodes %d to %d chose or proved this student before: what is found there again is no new evidence; "
                "leave --seed out for fresh ones",
                max(low, seed),
                min(high, seed + n_episodes) - 1,
            )
    return seed


def spent_by_teacher(teacher: Any) -> list[Span]:
    """Return the seeds that its environments may have started from in training, where it says its own seed."""
    seed = (getattr(teacher, "provenance", None) or {}).get("seed")
    return [(seed, seed + MAX_TRAINING_ENVS)] if isinstance(seed, int) and not isinstance(seed, bool) else []


def spent_by_student(student: Any) -> list[Span]:
    """Return the seeds that its record says are spent."""
    provenance = (getattr(student, "metadata", None) or {}).get("provenance") or {}
    spans = provenance.get("spent_seeds")
    if spans is None:
        # Students from before that record: their settings say what their proof looked at.
        config = provenance.get("config") or {}
        start, n_episodes = config.get("eval_seed"), config.get("eval_episodes")
        return [(start, start + n_episodes)] if isinstance(start, int) and isinstance(n_episodes, int) else []
    pairs = [tuple(span) for span in spans if isinstance(span, list | tuple) and len(span) == 2]
    return [(low, high) for low, high in pairs if isinstance(low, int) and isinstance(high, int)]
