"""Sentences on a comparison that tables, pages and logs have in common.

In: an `evaluation.json` or the record of a comparison. Out: text, empty where there is nothing to say.
"""

from __future__ import annotations

import math
from typing import Any

UNPAIRED = (
    "not paired: these environments begin their own episodes, so that policies were not measured on the same ones and "
    "intervals are wider"
)


def said_beside(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what stands beside a verdict, by its name: how both acted, the teacher by sampling, what is no pair."""
    acting = "teacher and student by sampling" if record.get("deterministic") is False else ""
    found = [("acting", acting), ("teacher by sampling", sampled_teacher(record)), ("episodes", pairing(record))]
    return [(name, text) for name, text in found if text]


def pairing(record: dict[str, Any]) -> str:
    """Return what is to be known of episodes that are no pairs."""
    return UNPAIRED if record.get("paired") is False else ""


def sampled_teacher(record: dict[str, Any]) -> str:
    """Return the teacher's return by sampling, how much more that is than by its mode, and what it took to know."""
    one = record.get("teacher_sampled") or {}
    difference = one.get("difference") or {}
    if not _is_number(one.get("mean")) or not _is_number(difference.get("mean")):
        return ""
    low = difference.get("low")
    bound = f", at least {low:+,.1f} with 95%" if _is_number(low) else ""
    episodes = f" in {one['n_episodes']:.0f} episodes" if _is_number(one.get("n_episodes")) else ""
    cost = f"; {one['env_steps']:,.0f} steps" if _is_number(one.get("env_steps")) else ""
    return f"{one['mean']:,.1f}, {difference['mean']:+,.1f} against its mode{episodes}{bound}{cost}"


def sampled_warning(record: dict[str, Any]) -> str:
    """Return what to tell whoever takes the mode for the teacher, where sampling is better by more than its error."""
    one = record.get("teacher_sampled") or {}
    if (one.get("difference") or {}).get("better") is not True:
        return ""
    return (
        "the teacher is better by sampling than by its mode, which the student is measured by: "
        f"{sampled_teacher(record)}; compare --stochastic has both act by sampling"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
