"""How numbers are said, the same in tables, pages and logs.

In: values. Out: words, none where there is nothing to say.
"""

from __future__ import annotations

import math


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
