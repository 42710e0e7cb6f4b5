"""Puts a page together: head, figures, charts, tables, one script, no network.

In: texts and charts. Out: HTML. Whatever comes from a run is escaped here: as text in the markup, as JSON in the data.
The page's own policy forbids every connection, so that an escape that failed could still send nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from policy_distill.report.library import plotting_script
from policy_distill.report.marks import Chart
from policy_distill.report.style import DRAW, STYLE

MAX_TEXT = 400
"""Characters of one cell; longer texts are cut."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src data:"
)

PLACE_OF_LIBRARY = "<script>/* the plotting library */</script>"
"""What stands in place of the library in a page that is kept with others."""


@dataclass(frozen=True)
class Table:
    """Rows of texts under a title."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    folded: bool = False
    """Shown when it is asked for."""
    links: Sequence[str] = ()
    """For each row, where its first cell leads."""


@dataclass(frozen=True)
class Page:
    """Everything on a page, in order."""

    title: str
    subtitle: str
    badge: tuple[str, str] | None
    """A word and its kind: good, bad or open."""
    figures: Sequence[tuple[str, str, str]]
    """Large figures: value, what it is, what qualifies it."""
    charts: Sequence[Chart]
    tables: Sequence[Table]
    command: str = ""
    """The command line that makes the run again."""
    video: Path | None = None
    """Teacher and student side by side."""
    drawing: str = ""
    """Markup of the student itself, where it can be drawn; its texts are escaped."""
    notes: Sequence[str] = field(default_factory=tuple)
    """Sentences under the head."""


def render(page: Page) -> str:
    """Return the page as HTML."""
    specs = {f"chart{i}": chart.spec for i, chart in enumerate(page.charts)}
    body = [
        f"<header><h1>{_text(page.title)}</h1>{_badge(page)}<p class=sub>{_text(page.subtitle)}</p></header>",
        *(f"<p class=note>{_text(note)}</p>" for note in page.notes),
        _figures(page),
        _video(page),
        "<main>" + "".join(_chart(i, chart) for i, chart in enumerate(page.charts)) + "</main>",
        page.drawing,
        *(_table(table) for table in page.tables),
        _command(page),
        f'<script type="application/json" id="specs">{_data(specs)}</script>',
    ]
    script = f"{_library()}<script>{DRAW}</script>" if page.charts else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{_text(page.title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}{script}</body></html>\n"
    )


def without_library(page: str) -> str:
    """Return a page that carries the plotting library without it: nine tenths of its bytes, the same in every page."""
    return page.replace(_library(), PLACE_OF_LIBRARY, 1)


def with_library(page: str) -> str:
    """Return a page that `without_library` returned as it was, but for the version of the library."""
    return page.replace(PLACE_OF_LIBRARY, _library(), 1)


def _library() -> str:
    return f"<script>{_script(plotting_script())}</script>"


def _text(value: Any) -> str:
    """Return text that is text, whatever it holds."""
    if isinstance(value, float):
        value = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    elif isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:,}"
    value = str(value)
    return escape(value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}…")


def _data(value: Any) -> str:
    """Return JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _script(code: str) -> str:
    """Return code that cannot end its element: inside strings and patterns an escaped slash is the same slash."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _badge(page: Page) -> str:
    return "" if page.badge is None else f'<span class="badge {escape(page.badge[1])}">{_text(page.badge[0])}</span>'


def _figures(page: Page) -> str:
    cards = (
        f"<div><b>{_text(value)}</b><span>{_text(what)}</span><i>{_text(how)}</i></div>"
        for value, what, how in page.figures
    )
    return f"<section class=figures>{''.join(cards)}</section>"


def _chart(index: int, chart: Chart) -> str:
    return (
        f"<figure><h2>{_text(chart.title)}</h2><div class=chart id=chart{index}></div>"
        f"<figcaption>{_text(chart.note)}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in table.header)
    rows = []
    for i, row in enumerate(table.rows):
        cells = [_text(cell) for cell in row]
        if table.links:
            cells[0] = f'<a href="{escape(table.links[i], quote=True)}">{cells[0]}</a>'
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    header = f"<thead><tr>{head}</tr></thead>" if table.header else ""
    content = f"<div class=wide><table>{header}<tbody>{''.join(rows)}</tbody></table></div>"
    if table.folded:
        return f"<details><summary>{_text(table.title)}</summary>{content}</details>"
    return f"<section><h2>{_text(table.title)}</h2>{content}</section>"


def _command(page: Page) -> str:
    return f"<section><h2>Make it again</h2><pre>{escape(page.command)}</pre></section>" if page.command else ""


def _video(page: Page) -> str:
    if page.video is None:
        return ""
    data = base64.b64encode(page.video.read_bytes()).decode()
    return (
        "<figure class=video><h2>Teacher (left) and student (right), the same seed</h2>"
        f'<video controls muted loop playsinline src="data:video/mp4;base64,{data}"></video></figure>'
    )
