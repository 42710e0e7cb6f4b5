"""Contracts of the stages of a run: what is stepped and by whom, where states are kept, how one learns, who is told.

Sizes: `B` samples, `D` features, `P` distribution parameters, `A` action dimensions, `T` steps, `N` environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """A sink of metrics. Only `log` must do something."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record `metrics` (names of the form `stage/quantity`) at `step` environment steps."""
        ...

    def summary(self, values: Mapping[str, Any]) -> None:
        """Record the final values of a run."""
        ...

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Record a file (`kind` is "student", "teacher" or "video") with its metadata."""
        ...

    def close(self) -> None:
        """Flush and finish; called once, also after an error."""
        ...
