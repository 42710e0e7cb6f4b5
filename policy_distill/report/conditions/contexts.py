"""How teacher and student bear other contexts: a heat map of what either scores in each.

In: a `RunRecord`. Out: a `Chart`, or None where nothing was compared in contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy_distill.evaluation.contexts.records import ContextRecord, ContextsRecord
from policy_distill.report.conditions.perturbed import GROUPS
from policy_distill.report.marks import Chart
from policy_distill.report.read_run import RunRecord

POLICIES = ("teacher", "student")
NOTE = (
    "Mean return of teacher and student in each context, in gains of the teacher over a random policy in the "
    "environment as it is; contexts with a dark edge were held out of the training."
)


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
