"""How numbers, outcomes and comparisons are said, the same in tables, pages and logs.

In: values, an `evaluation.json` or the record of a comparison. Out: words, none where there is nothing to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

NEXT = {
    "inferior": "train for more steps (--timesteps), or give the student more room (--student mlp:64,64)",
    "undecided": "run more episodes: compare --until-certain, with a higher --max-episodes where that is not enough",
    "undefined": "see that the teacher is good in this environment, and that it is the one that it was trained in",
}
"""What to do about an outcome, where something is to be done."""

UNPAIRED = (
    "not paired: these environments begin their own episodes, so that policies were not measured on the same ones and "
    "intervals are wider"
)


def digits(value: float | None) -> str:
    """Return a number with four significant digits, or all before the point: 0.9550, 12.35, -1,115; None is empty."""
    if value is None:
        return ""
    if not math.isfinite(value) or abs(value) >= 999.95:
        return f"{value:,.0f}"
    return f"{value:#.4g}"


def signed(value: float) -> str:
    """Return a difference with its sign, and as many digits as any number has."""
    return f"{'-' if value < 0 else '+'}{digits(abs(value))}"


def next_step(verdict: Mapping[str, Any]) -> str:
    """Return what to do about a verdict's record; empty where nothing is to be done, or the verdict says it itself."""
    outcome = str(verdict.get("outcome"))
    return "" if verdict.get("beyond") and outcome == "undecided" else NEXT.get(outcome, "")


def compression_text(teacher_params: int, student_params: int) -> str:
    """Say how many times smaller a student is than its teacher, or that it is not."""
    sizes = f"({teacher_params:,} to {student_params:,})"
    if teacher_params == 0:
        return f"undefined: the teacher has no parameters, the student {student_params:,}"
    if teacher_params == student_params:
        return f"none: the student has as many parameters as the teacher {sizes}"
    ratio = teacher_params / max(student_params, 1)
    if ratio < 1.0:
        return f"none: the student is {times(1.0 / ratio)} x larger than the teacher {sizes}"
    return f"{times(ratio)} x in parameters {sizes}"


def times_fewer(ratio: float | None) -> str:
    """Return the cell of a column that says how many times fewer parameters a student has; nothing for None."""
    if ratio is None:
        return ""
    if ratio == 1.0:
        return "as many"
    return times(ratio, 1) if ratio > 1.0 else f"{times(1.0 / ratio, 1)} x more" if ratio > 0.0 else "undefined"


def times(ratio: float, decimals: int = 0) -> str:
    """Return a factor above 1, with so many digits after the point from 100 on; next to 1 it does not show as 1.0."""
    if ratio >= 100:
        return f"{ratio:,.{decimals}f}"
    return f"{ratio:.1f}" if ratio >= 1.5 else f"{ratio:.4g}"


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
    bound = f", at least {signed(low)} with 95%" if _is_number(low) else ""
    episodes = f" in {one['n_episodes']:.0f} episodes" if _is_number(one.get("n_episodes")) else ""
    cost = f"; {one['env_steps']:,.0f} steps" if _is_number(one.get("env_steps")) else ""
    return f"{digits(one['mean'])}, {signed(difference['mean'])} against its mode{episodes}{bound}{cost}"


def sampled_warning(record: dict[str, Any]) -> str:
    """Return what to tell whoever takes the mode for the teacher, where sampling is better by more than its error."""
    one = record.get("teacher_sampled") or {}
    if (one.get("difference") or {}).get("better") is not True:
        return ""
    return (
        "the teacher is better by sampling than by its mode, which the student is measured by: "
        f"{sampled_teacher(record)}; compare --stochastic has both act by sampling"
    )


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)
