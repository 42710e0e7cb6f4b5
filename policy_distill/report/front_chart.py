"""The chart of a compression: what students keep against what they cost, the bar, the teacher, and what was dropped.

In: `compression.json`. Out: a `Chart`. Data goes in under fixed field names, as in all charts.
"""

from __future__ import annotations

from typing import Any

from policy_distill.evaluation.parts.front_record import CompressionRecord, FrontRecord
from policy_distill.report.marks import RANDOM, RIM, STUDENT, TEACHER, Chart, layered, number_axis
from policy_distill.report.read_run import RunRecord

BAR = "#d14545"
STANDINGS = ("proven", "tested, not proven", "untested")
SIZE, KEPT = "parameters of the student", "share of the teacher's gain kept"
SPREAD = 2.0
"""Standard errors that are drawn below and above a student that was not tested."""
DEPTH = 0.3
"""What lies so far below the bar is drawn there: where it stands exactly would press all others into a line."""


def front_chart(run: RunRecord) -> Chart | None:
    """Draw the front of a compression."""
    record = run.compression
    points = [] if record is None else [_point(one, record) for one in record.front or () if one.retention is not None]
    if record is None or not points:
        return None
    sizes = [record.teacher.n_params] if record.teacher and record.teacher.n_params else []
    lines = [{"at": record.bar, "what": "the bar"}] if record.bar is not None else []
    teacher = [{"params": sizes[0], "kept": 1.0, "spec": "the teacher"}] if sizes else []
    # A record that somebody else wrote may have one without the other.
    spans = [row for row in points if None not in (row["low"], row["high"])]
    bounded = [row for row in spans if row["high"] > _floor(record)]
    layers: list[dict[str, Any]] = [
        _bar(lines),
        *_behind(record),
        {
            "data": {"values": bounded},
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.7},
            "encoding": {**_place("low"), "y2": {"field": "high"}, "color": _colour()},
        },
        {
            "data": {"values": teacher},
            "mark": {"type": "point", "shape": "diamond", "filled": True, "size": 130, "color": TEACHER, "opacity": 1},
            "encoding": {**_place("kept"), "tooltip": _tooltip("spec", "params")},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {
                **_place("at"),
                "color": _colour(),
                "shape": {"condition": {"test": "datum.below", "value": "triangle-down"}, "value": "circle"},
                "tooltip": _tooltip("spec", "params", "bytes", "macs", "kept", "low", "standing"),
            },
        },
    ]
    note = (
        "A large dot is a student that no other beats in both. A tested one has its lower 95% bound below it; an "
        "untested one twice its standard error on the episodes that chose, which prove nothing. The dashed line is "
        "the bar, the diamond the teacher; small grey marks were left behind, at the bottom those that nobody judged. "
        "A triangle keeps less than can be shown beside the others."
    )
    return Chart("The front", note, layered(layers, points, height=320, zoom=True))


def _point(one: FrontRecord, record: CompressionRecord) -> dict[str, Any]:
    kept, chosen = one.retention, one.chosen_by
    mean = kept.mean if kept else None
    low, high = kept.mean_low if kept else None, mean
    if not one.tested and chosen is not None and mean is not None and chosen.error is not None:
        low, high = mean - SPREAD * chosen.error, mean + SPREAD * chosen.error
    standing = STANDINGS[0] if one.proven else STANDINGS[1] if one.tested else STANDINGS[2]
    sizes = {"params": max(one.n_params or 1, 1), "bytes": one.n_bytes, "macs": one.macs}
    floor = _floor(record)
    low = None if low is None else max(low, floor)
    place = {"at": None if mean is None else max(mean, floor), "below": mean is not None and mean < floor}
    return {"spec": one.spec, **sizes, "kept": mean, "low": low, "high": high, "standing": standing, **place}


def _floor(record: CompressionRecord) -> float:
    return (1.0 if record.bar is None else record.bar) - DEPTH


def _behind(record: CompressionRecord) -> list[dict[str, Any]]:
    """Return small grey marks for what was left behind: at what it kept where it was judged, else at the bottom."""
    rows = [
        {"spec": one.spec, "params": max(one.n_params or 1, 1), "kept": one.kept, "why": one.why}
        for one in record.dropped or ()
    ]
    rows += [
        {"spec": one.spec, "params": max(one.n_params or 1, 1), "kept": one.retention.mean, "why": "beaten on both"}
        for one in record.beaten or ()
        if one.retention is not None
    ]
    for row in rows:
        row["at"] = None if row["kept"] is None else max(row["kept"], _floor(record))
    judged, unjudged = ([row for row in rows if (row["kept"] is None) is none] for none in (False, True))
    at_bottom = {"x": _place("kept")["x"], "y": {"value": {"expr": "height - 4"}}}
    small, words = {"filled": True, "color": RANDOM, "opacity": 0.6}, ("spec", "params", "kept", "why")
    return [
        {
            "data": {"values": part},
            "mark": {"type": "point", "size": 22, **small},
            "encoding": {**place, "tooltip": _tooltip(*words)},
        }
        for part, place in ((judged, _place("at")), (unjudged, at_bottom))
        if part
    ]


def _bar(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "data": {"values": lines},
        "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.5, "color": BAR},
        "encoding": {"y": number_axis("at", KEPT, zero=False)},
    }


def _place(height: str) -> dict[str, Any]:
    size = {**number_axis("params", SIZE), "scale": {"type": "log", "padding": RIM}}
    return {"x": size, "y": number_axis(height, KEPT, zero=False)}


def _colour() -> dict[str, Any]:
    scale = {"domain": list(STANDINGS), "range": [STUDENT, BAR, "#7db1e6"]}
    return {"field": "standing", "type": "nominal", "title": None, "scale": scale}


def _tooltip(*fields: str) -> list[dict[str, Any]]:
    words = {"spec", "standing", "why"}
    return [{"field": field, "type": "nominal" if field in words else "quantitative"} for field in fields]
