"""The parts that charts are put together from: marks and encodings of Vega-Lite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TEACHER, STUDENT, RANDOM = "#e8833a", "#2f7fd1", "#8a8f98"
COLOURS = {"domain": ["teacher", "student", "random"], "range": [TEACHER, STUDENT, RANDOM]}

RIM = 8
"""Pixels between the outermost values and the rim of a chart, where its axis need not begin at zero."""


@dataclass(frozen=True)
class Chart:
    """A chart with its words."""

    title: str
    note: str
    spec: dict[str, Any]


ZOOM = {"name": "zoom", "select": "interval", "bind": "scales"}


def single(mark: Any, encoding: dict[str, Any], rows: list[Any], height: int) -> dict[str, Any]:
    """Return the specification of one mark."""
    return {**_frame(rows, height), "mark": mark, "encoding": encoding}


def layered(layers: list[Any], rows: list[Any], height: int, *, zoom: bool = False) -> dict[str, Any]:
    """Return the specification of marks over each other."""
    if zoom:
        layers[-1]["params"] = [ZOOM]
    return {**_frame(rows, height), "layer": layers}


def _frame(rows: list[Any], height: int) -> dict[str, Any]:
    return {"data": {"values": rows}, "width": "container", "height": height}


def number_axis(field: str, title: str, *, zero: bool = True) -> dict[str, Any]:
    """Return the encoding of a quantity."""
    # Without room at the rim, marks on the outermost values are cut in half.
    scale: dict[str, Any] = {"zero": True} if zero else {"zero": False, "padding": RIM}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale}


def who(field: str) -> dict[str, Any]:
    """Return the colour of teacher, student and random policy."""
    return {"field": field, "type": "nominal", "title": None, "scale": COLOURS}


def tooltip(*fields: str) -> list[dict[str, Any]]:
    """Return what is shown under the pointer."""
    words = {"who", "what", "name", "stage"}
    return [{"field": field, "type": "nominal" if field in words else "quantitative"} for field in fields]
