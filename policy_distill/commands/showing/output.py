"""What commands print: a table for people, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from policy_distill.errors import RequestError, one_line
from policy_distill.system.answers import answer
from policy_distill.system.wording import digits


class Output:
    """Prints a result on stdout, in one of two forms."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def show(
        self, record: dict[str, Any], rows: Iterable[tuple[Any, ...]], header: tuple[str, ...] = (), text: str = ""
    ) -> None:
        """Print `record` as JSON, or `rows` as a table, with `text` of several lines after it."""
        if self.as_json:
            answer(json.dumps(record, allow_nan=False, default=str))
        else:
            answer("\n".join(part for part in (table(rows, header), text) if part))


def table(rows: Iterable[tuple[Any, ...]], header: tuple[str, ...] = ()) -> str:
    """Return rows as aligned text: the first column to the left, the others to the right where they are numbers."""
    cells = [[_text(cell) for cell in row] for row in ((header, *rows) if header else rows)]
    n_columns = max(map(len, cells), default=0)
    cells = [row + [""] * (n_columns - len(row)) for row in cells]
    sizes = [max(len(row[column]) for row in cells) for column in range(n_columns)]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip() for row in cells]
    if header:
        lines.insert(1, "  ".join("-" * size for size in sizes))
    return "\n".join(lines)


def widths(text: str) -> tuple[int, ...]:
    """Parse `256,256`.

    Raises:
        RequestError: where an item is not a whole number.
    """
    try:
        return tuple(int(item) for item in text.split(",") if item.strip())
    except ValueError:
        raise RequestError(f"expected widths such as 256,256, found {text!r}") from None


class WithInterval(Protocol):
    """A record with an interquartile mean and its interval."""

    @property
    def iqm(self) -> float | None:
        """The mean; None where it is undefined."""

    @property
    def ci95(self) -> Sequence[float | None] | None:
        """Its ends; None where they are not known."""


def interval_text(record: WithInterval, decimals: int | None = None) -> str:
    """Return `iqm [low, high]` of a record; undefined values are named so.

    Numbers have four significant digits, or so many `decimals`.
    """
    if record.iqm is None:
        return "undefined (the teacher gains nothing over random)"
    low, high = record.ci95 or (None, None)
    text = digits if decimals is None else f"{{:.{decimals}f}}".format
    bounds = "" if low is None or high is None else f" [{text(low)}, {text(high)}]"
    return f"{text(record.iqm)}{bounds}"


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return digits(cell)
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else one_line(str(cell))
