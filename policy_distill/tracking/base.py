"""What a tracker is, and what it is told when it starts.

In: metrics, final values, files. Out: nothing. A tracker of one's own derives from `BaseTracker`, or is any object with
a `log`: `as_tracker` takes both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.interfaces.stages import Tracker
from policy_distill.system.foreign import asked


class BaseTracker:
    """A sink of metrics that does nothing but log; whoever derives from it overrides what there is a use for."""

    wants_gradients: bool = False
    """True where `histograms` is to be told the gradients of every iteration."""
    wants_history: bool = False
    """True where a resumed run is to tell `log` first what came before: the sink has begun anew."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics (names of `tracking/metrics.py`) at `step` environment steps; NaN is what is undefined."""
        raise NotImplementedError

    def histograms(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        """Record the distribution of each array's values; called where `wants_gradients`."""

    def sync(self) -> None:
        """Put what was logged where it survives the process: a checkpoint that relies on it comes next."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Record the final values of a run, the JSON values of its `evaluation.json`."""

    def front(self, record: CompressionRecord) -> None:
        """Record which student a compression chose, and the others on the front; called before its `summary`."""

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Record a file (`kind` is "student", "teacher" or "video") with its metadata."""

    def close(self) -> None:
        """Flush and finish; called once, also after an error."""


@dataclass(frozen=True)
class TrackerOptions:
    """What is asked of a tracker, beside the folder and the settings of a run; each takes from it what it knows."""

    project: str | None = None
    """None for the tracker's own default."""
    group: str | None = None
    """What runs are found by together; None for the name of the run folder."""
    job_type: str = "distill"
    """`train`, `distill`, `finetune` or `evaluate`."""
    tags: tuple[str, ...] = ()
    teacher: Path | None = None
    """The zip that the student comes from."""
    student: Path | None = None
    """The student that a fine-tuning begins with."""
    gradients: bool = False
    """Log histograms of the gradients."""


Starter = Callable[[Path, dict[str, Any], TrackerOptions], Tracker | None]
"""Starts a tracker for a run folder, which exists, and the run's settings; None, with a warning, where it cannot."""


def as_tracker(one: Any) -> BaseTracker:
    """Return a tracker that has all members, of whatever a caller handed over.

    Raises:
        RequestError: for an object without `log`.
    """
    return one if isinstance(one, BaseTracker) else _Handed(one)


class _Handed(BaseTracker):
    """A caller's object, of which only `log` is sure to be there."""

    def __init__(self, one: Any) -> None:
        if not callable(asked(one, "log")):
            raise RequestError(f"expected a tracker with log(metrics, step), found {type(one).__name__}; give it one")
        self._one = one
        self.wants_gradients = bool(asked(one, "wants_gradients"))
        self.wants_history = bool(asked(one, "wants_history"))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._one.log(metrics, step)

    def histograms(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        self._told("histograms", arrays, step)

    def sync(self) -> None:
        self._told("sync")

    def summary(self, values: Mapping[str, Any]) -> None:
        self._told("summary", values)

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        self._told("artifact", path, kind, metadata)

    def front(self, record: CompressionRecord) -> None:
        self._told("front", record)

    def close(self) -> None:
        self._told("close")

    def _told(self, name: str, *arguments: Any) -> None:
        method = asked(self._one, name)
        if method is not None:
            method(*arguments)
