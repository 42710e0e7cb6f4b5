"""Several sinks as one: `metrics.jsonl`, and whatever tracker was asked for.

In: trackers and a path. Out: one tracker that tells them all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.interfaces.stages import Tracker
from policy_distill.tracking.base import BaseTracker, as_tracker
from policy_distill.tracking.jsonl import JsonlTracker, read_metrics
from policy_distill.tracking.metrics import STEP


class FanOut(BaseTracker):
    """Several trackers as one."""

    def __init__(self, trackers: list[BaseTracker]) -> None:
        self._trackers = trackers
        self.wants_gradients = any(tracker.wants_gradients for tracker in trackers)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log to all."""
        for tracker in self._trackers:
            tracker.log(metrics, step)

    def histograms(self, arrays: Mapping[str, Any], step: int) -> None:
        """Hand arrays to those that draw histograms."""
        for tracker in self._trackers:
            if tracker.wants_gradients:
                tracker.histograms(arrays, step)

    def sync(self) -> None:
        """Have all keep what was logged."""
        for tracker in self._trackers:
            tracker.sync()

    def summary(self, values: Mapping[str, Any]) -> None:
        """Summarise to all."""
        for tracker in self._trackers:
            tracker.summary(values)

    def front(self, record: CompressionRecord) -> None:
        """Tell all what a compression found."""
        for tracker in self._trackers:
            tracker.front(record)

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Hand a file to all."""
        for tracker in self._trackers:
            tracker.artifact(path, kind, metadata)

    def close(self) -> None:
        """Close all."""
        for tracker in self._trackers:
            tracker.close()


def with_jsonl(tracker: Tracker | None, path: Path | None, resume_step: int | None = None) -> FanOut:
    """Return `tracker` (if any) together with a `metrics.jsonl` at `path` (if any).

    A resumed run drops from `metrics.jsonl` what it will say again; a tracker that starts anew is told the rest.

    Raises:
        RequestError: for a tracker without `log`.
    """
    others = [] if tracker is None else [as_tracker(tracker)]
    if path is None:
        return FanOut(others)
    lines = JsonlTracker(path, resume_step)
    for other in others:
        if resume_step is not None and other.wants_history:
            for row in read_metrics(path):
                metrics = {name: math.nan if value is None else value for name, value in row.items() if name != STEP}
                other.log(metrics, row[STEP])
    return FanOut([lines, *others])
