"""The table of perturbations: what each condition leaves of teacher and student.

In: comparisons as JSON values, those of `perturbed.json` or of a comparison just made. Out: rows of text.
"""

from __future__ import annotations

from typing import Any

from policy_distill.report.shapes import is_number
from policy_distill.system.wording import digits

HEADER = (
    "condition",
    "teacher, mean",
    "student, mean",
    "retention, mean",
    "at least",
    "verdict",
    "falls: teacher",
    "student",
    "worst 5%: teacher",
    "student",
    "retention, IQM [95%]",
)


def perturbed_rows(records: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return a row for each condition; what an earlier version did not measure is left blank."""
    return [_row(name, one) for name, one in records.items()]


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    policies = [one.get(who) or {} for who in ("teacher", "student")]
    kept, falls = one.get("retention") or {}, one.get("falls") or {}
    outcome = (kept.get("verdict") or {}).get("outcome")
    # A share of what is not clearly a gain is no number to show, and half of it no line to fall below.
    shown, falls = ({}, {}) if outcome == "undefined" else (kept, falls)
    low, high = shown.get("ci95") or (None, None)
    bounds = f" [{low:.3f}, {high:.3f}]" if is_number(low) and is_number(high) else ""
    iqm = _share(shown.get("iqm"))
    return (
        name,
        *(_return(policy.get("mean")) for policy in policies),
        *(_share(shown.get(key)) for key in ("mean", "mean_low")),
        str(outcome or ""),
        *(_falls(falls.get(who) or {}) for who in ("teacher", "student")),
        *(_return(policy.get("worst5")) for policy in policies),
        iqm + bounds if iqm else "undefined",
    )


def _return(value: Any) -> str:
    return digits(value) if is_number(value) else ""


def _share(value: Any) -> str:
    return f"{value:,.3f}" if is_number(value) else ""


def _falls(one: dict[str, Any]) -> str:
    """Return a count, of how many, and how large the rate may be: `0 of 100 (< 3.0%)`."""
    if not is_number(one.get("n")):
        return ""
    of = f" of {one['n_episodes']:.0f}" if is_number(one.get("n_episodes")) else ""
    high = f" (< {one['rate_high']:.1%})" if is_number(one.get("rate_high")) else ""
    return f"{one['n']:.0f}{of}{high}"
