"""The tables of perturbations and of contexts: what each leaves of teacher and student.

In: the records of comparisons, those of a run folder or of a comparison just made. Out: rows of text, and a heat map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from policy_distill.evaluation.contexts.records import ContextRecord, ContextsRecord
from policy_distill.evaluation.policy_records import returns_of
from policy_distill.evaluation.proof.records import BothFalls, FallsRecord, RetentionRecord
from policy_distill.evaluation.records import ComparisonRecord
from policy_distill.report.marks import Chart
from policy_distill.system.wording import digits

if TYPE_CHECKING:
    from policy_distill.report.read_run import RunRecord

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
POLICIES = ("teacher", "student")
NOTE = (
    "Mean return of teacher and student in each context, in gains of the teacher over a random policy in the "
    "environment as it is; contexts with a dark edge were held out of the training."
)


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


def heat_map(run: RunRecord) -> Chart | None:
    """Draw what teacher and student score in each context; by two arguments where so many differ."""
    record = run.contexts
    if record is None or not record.contexts:
        return None
    varied = record.varied
    varied = varied if len(varied) == 2 and _is_grid(record, varied) else []
    rows = [_cell(one, who, varied) for one in record.contexts for who in POLICIES]
    named = {"type": "nominal", "sort": None, "axis": {"labelAngle": 0}}
    names, titles = (("one", "other"), varied) if varied else (("who", "name"), (None, None))
    place: dict[str, Any] = {
        axis: {"field": name, **named, "title": title} for axis, name, title in zip("xy", names, titles, strict=True)
    }
    if varied:
        place["column"] = {"field": "who", "type": "nominal", "title": None, "sort": list(POLICIES)}
    scale = {"scheme": "redyellowgreen", "domain": [0, 1], "clamp": True}
    colour = {"field": "share", "type": "quantitative", "title": "share of the gain", "scale": scale}
    tips = [{"field": name, "type": "nominal"} for name in ("name", "group", "who")]
    tips += [{"field": name, "type": "quantitative"} for name in ("share", "value")]
    held = {"condition": {"test": "datum.group === 'held out'", "value": "#222"}, "value": "transparent"}
    encoding = {**place, "color": colour, "stroke": held, "tooltip": tips}
    # A facet has the width of its parts.
    size = {"width": 220, "height": 220} if varied else {"width": "container", "height": {"step": 22}}
    mark = {"type": "rect", "strokeWidth": 2}
    return Chart("Contexts", NOTE, {"data": {"values": rows}, "mark": mark, "encoding": encoding, **size})


def _is_grid(record: ContextsRecord, varied: Sequence[str]) -> bool:
    """Say whether contexts are few values of each argument, and not drawn from ranges."""
    known = record.contexts or ()
    places = {tuple(str((one.values or {}).get(name)) for name in varied) for one in known}
    sizes = [len({place[i] for place in places}) for i in range(len(varied))]
    return len(places) == len(known) and max(sizes) < len(known)


def _cell(one: ContextRecord, who: str, varied: Sequence[str]) -> dict[str, Any]:
    value, share = (one.teacher, one.teacher_share) if who == "teacher" else (one.student, one.student_share)
    cell = {"name": one.name, "group": GROUPS[bool(one.seen)], "who": who, "share": share, "value": value}
    places = ("one", "other")[: len(varied)]
    return cell | {key: str((one.values or {}).get(name)) for key, name in zip(places, varied, strict=True)}
