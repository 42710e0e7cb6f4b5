"""Draws a tree as SVG within a page: questions to the left, what is done to the right.

In: rules. Out: markup; whatever comes from the student's file is escaped here. A tree of more leaves than can be read
is drawn down to where as many ways end, and says what lies below.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from policy_distill.errors import RequestError
from policy_distill.networks.table import TREES
from policy_distill.report.explain import Rules, rules_of
from policy_distill.student.runtime import load_student

MOST_LEAVES = 64
"""Ways that are drawn to their end."""
LINE, LETTER, GAP = 24, 6.6, 44
"""Pixels from leaf to leaf, of a letter, and between levels."""
LONGEST = 44
"""Letters of a text; all of it is shown under the pointer."""


@dataclass(frozen=True)
class Spot:
    """A node where it is drawn."""

    text: str
    level: int
    y: float
    is_end: bool
    sides: tuple[int, ...]
    """Numbers of the spots that it leads to."""


def drawing_of(folder: Path, spec: str) -> str:
    """Return the section of a page that shows the student of a run folder; empty for one that is no tree."""
    if spec.partition(":")[0] not in TREES:
        return ""
    try:
        rules = rules_of(load_student(folder / "student.safetensors", "numpy"))
    except RequestError:
        # A run that has not ended has no student yet.
        return ""
    return "" if rules is None else draw_tree(rules)


def draw_tree(rules: Rules) -> str:
    """Return a tree as a section of a page."""
    spots, tree = spots_of(rules), rules.tree
    n_levels = max(spot.level for spot in spots) + 1
    widest = [max(len(_short(spot.text)) for spot in spots if spot.level == level) for level in range(n_levels)]
    starts = [8.0]
    for letters in widest:
        starts.append(starts[-1] + LETTER * letters + GAP)
    height = LINE * sum(spot.is_end for spot in spots) + 2 * LINE
    body = "".join(_node(spot, spots, starts, widest) for spot in spots)
    note = "Upwards where the answer is yes, downwards where it is no."
    n_drawn = sum(spot.is_end for spot in spots)
    if n_drawn < tree.n_leaves:
        note += f" Of {tree.n_leaves} leaves the first levels are drawn; policy-distill explain prints all."
    return (
        f"<section><h2>The student, a tree of {tree.n_leaves} leaves</h2><div class=wide>"
        f'<svg class=tree role=img aria-label="decision tree" width="{starts[-1]:.0f}" height="{height}" '
        f'viewBox="0 0 {starts[-1]:.0f} {height}">{body}</svg></div><figcaption>{note}</figcaption></section>'
    )


def spots_of(rules: Rules) -> list[Spot]:
    """Return the nodes that are drawn, with their places: ends evenly spaced, splits between what they lead to."""
    open_ends = _ends(rules)
    spots: list[Spot] = []
    n_ends = 0

    def place(node: int, level: int) -> int:
        nonlocal n_ends
        if node in open_ends:
            spots.append(Spot(open_ends[node], level, LINE * (n_ends + 1.0), True, ()))
            n_ends += 1
            return len(spots) - 1
        # Yes lies above, and is placed first.
        sides = tuple(place(int(child), level + 1) for child in rules.tree.branches[node])
        middle = sum(spots[side].y for side in sides) / 2
        spots.append(Spot(rules.question(node), level, middle, False, sides))
        return len(spots) - 1

    place(0 if rules.tree.n_splits else -1, 0)
    return spots


def _ends(rules: Rules) -> dict[int, str]:
    """Return the nodes at which ways end, and what they say: leaves, or splits with too much below them."""
    open_ = deque([0 if rules.tree.n_splits else -1])
    ends: list[int] = []
    while open_ and len(open_) + len(ends) < MOST_LEAVES:
        node = open_.popleft()
        if node < 0:
            ends.append(node)
        else:
            open_ += [int(child) for child in rules.tree.branches[node]]
    return {node: rules.answer(-1 - node) if node < 0 else _below(rules, node) for node in [*ends, *open_]}


def _below(rules: Rules, node: int) -> str:
    answers = Counter(rules.answer(leaf).partition(" (")[0] for leaf in _leaves(rules, node))
    (most, _), *_ = answers.most_common(1)
    return f"… {answers.total()} leaves, most of them {most}"


def _leaves(rules: Rules, node: int) -> Iterator[int]:
    open_ = [node]
    while open_:
        at = open_.pop()
        if at < 0:
            yield -1 - at
        else:
            open_ += [int(child) for child in rules.tree.branches[at]]


def _node(spot: Spot, spots: list[Spot], starts: list[float], widest: list[int]) -> str:
    x, text = starts[spot.level], _short(spot.text)
    end = x + LETTER * len(text) + 4
    lines = []
    for side, answer in zip(spot.sides, ("yes", "no"), strict=False):
        other = spots[side]
        to = starts[other.level] - 6
        bend = to - GAP / 2 + 6
        lines.append(f'<path d="M{end:.0f} {spot.y:.0f}H{bend:.0f}V{other.y:.0f}H{to:.0f}"/>')
        lines.append(f'<text class=soft x="{bend + 2:.0f}" y="{other.y - 3:.0f}">{answer}</text>')
    kind = "end" if spot.is_end else "ask"
    said = (
        f'<text class={kind} x="{x:.0f}" y="{spot.y + 4:.0f}">{escape(text)}<title>{escape(spot.text)}</title></text>'
    )
    return "".join([*lines, said])


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
