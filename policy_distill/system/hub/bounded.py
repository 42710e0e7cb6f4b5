"""A progress bar that ends a download which is longer than was said."""

from __future__ import annotations

import sys
from typing import Any

from tqdm.auto import tqdm


class TooLong(Exception):
    """More bytes came than were announced."""


class Bounded(tqdm):
    """Drawn on stderr where that is a terminal; it counts in any case."""

    most = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._seen = int(kwargs.get("initial") or 0)
        kwargs |= {"disable": not sys.stderr.isatty(), "leave": False}
        kwargs.pop("name", None)
        super().__init__(*args, **kwargs)

    def update(self, n: float | None = 1) -> bool | None:
        """Count `n` further bytes.

        Raises:
            TooLong: where these are more than was said.
        """
        self._seen += int(n or 0)
        if self._seen > self.most:
            raise TooLong
        return bool(super().update(n))

    @classmethod
    def of(cls, n_bytes: int) -> type[Bounded]:
        """Return a bar for one file of so many bytes."""
        return type("Bounded", (cls,), {"most": n_bytes})
