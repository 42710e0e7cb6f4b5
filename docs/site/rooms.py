"""The picture of the architecture as SVG: a Mermaid flowchart of arrows, laid out in layers."""

from __future__ import annotations

import html
import itertools
import re

WIDTH, ROW, HEIGHT = 900, 74, 34
LABEL = re.compile(r"^(\w+)(?:\[\"?(.*?)\"?\])?$")


def drawn(chart: str) -> str:
    """Return `<figure>` with the chart: each node below all that lead to it."""
    names, edges = _read(chart)
    layer = _layers(names, edges)
    rows: dict[int, list[str]] = {}
    for name in names:
        rows.setdefault(layer[name], []).append(name)
    place: dict[str, float] = {}
    for number in sorted(rows):
        # Beside those that lead to them, which keeps arrows short.
        rows[number].sort(key=lambda name: _middle([place[a] for a, b in edges if b == name and a in place]))
        for index, name in enumerate(rows[number]):
            place[name] = WIDTH * (index + 0.5) / len(rows[number])
    lines = []
    for start, end in edges:
        x1, y1 = place[start], layer[start] * ROW + HEIGHT + 4
        x2, y2 = place[end], layer[end] * ROW
        middle = (y1 + y2) / 2
        lines.append(f'<path d="M{x1:.0f} {y1}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2}"/>')
    boxes = []
    for name, label in names.items():
        half = 8 + 3.6 * len(label)
        left = min(max(place[name] - half, 1), WIDTH - 2 * half - 1)
        boxes.append(
            f'<rect x="{left:.0f}" y="{layer[name] * ROW + 2}" width="{2 * half:.0f}" height="{HEIGHT}" rx="5"/>'
            f'<text x="{left + half:.0f}" y="{layer[name] * ROW + HEIGHT - 9}">{html.escape(label)}</text>'
        )
    size = f"0 0 {WIDTH} {(max(layer.values()) + 1) * ROW}"
    return f'<figure class="rooms"><svg viewBox="{size}" role="img">{"".join(lines)}{"".join(boxes)}</svg></figure>'


def _read(chart: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return nodes with their labels, and arrows, `a & b --> c & d --> e` being all ways from one side to the next."""
    names: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    for line in chart.splitlines()[1:]:
        groups = []
        for part in line.split("-->"):
            group = []
            for word in re.split(r"\s&\s", part.strip()):
                if match := LABEL.match(word.strip()):
                    names[match[1]] = match[2] or names.get(match[1], match[1])
                    group.append(match[1])
            groups.append(group)
        for before, after in itertools.pairwise(groups):
            edges += [(a, b) for a in before for b in after]
    return names, edges


def _layers(names: dict[str, str], edges: list[tuple[str, str]]) -> dict[str, int]:
    layer = dict.fromkeys(names, 0)
    for _ in names:
        for start, end in edges:
            layer[end] = max(layer[end], layer[start] + 1)
    return layer


def _middle(places: list[float]) -> float:
    return sum(places) / len(places) if places else WIDTH / 2
