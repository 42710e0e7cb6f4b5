"""The tables of perturbations and of contexts: what each leaves of teacher and student.

In: the records of comparisons, those of a run folder or of a comparison just made. Out: rows of text.
"""

from __future__ import annotations

from collections.abc import Mapping

from policy_distill.evaluation.contexts.records import ContextRecord, ContextsRecord
from policy_distill.evaluation.policy_records import returns_of
from policy_distill.evaluation.proof.records import BothFalls, FallsRecord, RetentionRecord
from policy_distill.evaluation.records import ComparisonRecord
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
CONTEXT_HEADER = ("context", "", "teacher, mean", "student, mean", "random, mean", "retention, mean", "verdict")
GROUPS = {True: "seen", False: "held out"}


def perturbed_rows(records: Mapping[str, ComparisonRecord]) -> list[tuple[str, ...]]:
    """Return a row for each condition; what an earlier version did not measure is left blank."""
    return [_row(name, one) for name, one in records.items()]


def _row(name: str, one: ComparisonRecord) -> tuple[str, ...]:
    returns = [returns_of(policy) for policy in (one.teacher, one.student)]
    outcome, kept, falls = one.retention.outcome if one.retention else None, one.retention, one.falls
    if kept is None or outcome == "undefined":
        # A share of what is not clearly a gain is no number to show, and half of it no line to fall below.
        kept = RetentionRecord()
    if falls is None or outcome == "undefined":
        falls = BothFalls()
    low, high = kept.ci95 or (None, None)
    bounds = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    iqm = _share(kept.iqm)
    return (
        name,
        *(digits(policy.mean) for policy in returns),
        _share(kept.mean),
        _share(kept.mean_low),
        outcome or "",
        falls_text(falls.teacher),
        falls_text(falls.student),
        *(digits(policy.worst5) for policy in returns),
        iqm + bounds if iqm else "undefined",
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}"


def falls_text(one: FallsRecord | None) -> str:
    """Return a count, of how many, and how large the rate may be: `0 of 100 (< 3.0%)`."""
    if one is None or one.n is None:
        return ""
    of = "" if one.n_episodes is None else f" of {one.n_episodes:.0f}"
    high = "" if one.rate_high is None else f" (< {one.rate_high:.1%})"
    return f"{one.n:.0f}{of}{high}"


def context_rows(record: ContextsRecord) -> list[tuple[str, ...]]:
    """Return a row for each context, those that were seen first."""
    return [_context_row(one) for group in record.groups.values() for one in group]


def gap_rows(record: ContextsRecord) -> list[tuple[str, str]]:
    """Return what each loses from seen contexts to the others, in gains of the teacher."""
    return [(f"gap, {name}", words) for name, words in record.gap_words()]


def _context_row(one: ContextRecord) -> tuple[str, ...]:
    means = [digits(value) for value in (one.teacher, one.student, one.random)]
    kept = "" if one.retention is None else f"{one.retention:,.3f}"
    return (one.name or "", GROUPS[bool(one.seen)], *means, kept, one.outcome or "")
