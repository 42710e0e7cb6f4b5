"""A progress bar that ends a download which is longer than was said."""

from __future__ import annotations

import sys
from typing import Any


class TooLong(Exception):
    """More bytes came than were announced."""


def bar_of(n_bytes: int) -> type[Any]:
    """Return a bar for one file of so many bytes, drawn on stderr where that is a terminal; it counts in any case."""
    # It comes with the library that speaks to the hub, which an extra brings.
    from tqdm.auto import tqdm

    class Bounded(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._seen = int(kwargs.get("initial") or 0)
            kwargs |= {"disable": not sys.stderr.isatty(), "leave": False}
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            self._seen += int(n or 0)
            if self._seen > n_bytes:
                raise TooLong
            return bool(super().update(n))

    return Bounded
