"""Puts the sinks of a run together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.interfaces.stages import Tracker
from policy_distill.teachers.files.zip_file import find_zip
from policy_distill.tracking.jsonl import JsonlTracker, read_metrics
from policy_distill.tracking.metrics import STEP
from policy_distill.tracking.trackio_run import start as start_trackio
from policy_distill.tracking.wandb_start import start

MakeTracker = Callable[[Path, dict[str, Any]], Tracker | None]
"""Makes a sink from a run folder and its settings."""


MODES = ("offline", "online", "trackio", "disabled")
"""How a run can be tracked, beside `metrics.jsonl`."""
OPTIONS = ("project", "group", "tags")
"""What else can be said of a tracked run."""


class FanOut:
    """Several trackers as one."""

    def __init__(self, trackers: list[Tracker]) -> None:
        self._trackers = trackers

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log to all."""
        for tracker in self._trackers:
            tracker.log(metrics, step)

    @property
    def wants_gradients(self) -> bool:
        """True where one of them was asked for histograms of the gradients."""
        return any(getattr(tracker, "wants_gradients", False) for tracker in self._trackers)

    def histograms(self, arrays: Mapping[str, Any], step: int) -> None:
        """Hand arrays to those that draw histograms."""
        for tracker in self._trackers:
            if getattr(tracker, "wants_gradients", False):
                tracker.histograms(arrays, step)  # type: ignore[attr-defined]

    def sync(self) -> None:
        """Put what was logged on the disk, where a sink is a file of ours."""
        for tracker in self._trackers:
            if isinstance(tracker, JsonlTracker):
                tracker.sync()

    def summary(self, values: Mapping[str, Any]) -> None:
        """Summarise to all."""
        for tracker in self._with("summary"):
            tracker.summary(values)

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Hand a file to all."""
        for tracker in self._with("artifact"):
            tracker.artifact(path, kind, metadata)

    def close(self) -> None:
        """Close all."""
        for tracker in self._with("close"):
            tracker.close()

    def _with(self, method: str) -> list[Tracker]:
        """Return the trackers that have a method: one that a caller writes may have `log` alone."""
        return [tracker for tracker in self._trackers if hasattr(tracker, method)]


def with_jsonl(tracker: Tracker | None, path: Path | None, resume_step: int | None = None) -> FanOut:
    """Return `tracker` (if any) together with a `metrics.jsonl` at `path` (if any).

    A resumed run drops from `metrics.jsonl` what it will say again; a tracker that starts anew is told the rest.
    """
    trackers: list[Tracker] = [] if path is None else [JsonlTracker(path, resume_step)]
    if path is not None and resume_step is not None and getattr(tracker, "wants_history", False):
        for row in read_metrics(path):
            metrics = {name: math.nan if value is None else value for name, value in row.items() if name != STEP}
            tracker.log(metrics, row[STEP])  # type: ignore[union-attr]
    return FanOut([*trackers, tracker] if tracker is not None else trackers)


def tracker_maker(mode: str, **arguments: Any) -> Callable[[Path, dict[str, Any]], Tracker | None] | None:
    """Return what makes a tracker from a run folder and its settings; None where `mode` is `disabled`.

    `mode` is one of W&B's, `offline` or `online`, or `trackio`; `arguments` are those of `wandb_start.start`.
    """
    if mode == "disabled":
        return None
    if mode == "trackio":
        known = {name: arguments[name] for name in ("project", "group", "job_type") if name in arguments}
        return lambda out, config: start_trackio(out, config=config, **known)
    return lambda out, config: start(mode, out, config=config, **arguments)


def choose_tracker(
    tracker: Tracker | MakeTracker | None, track: str | Mapping[str, Any] | None, out: Any, teacher: Any
) -> Tracker | MakeTracker | None:
    """Return what a caller of `distill` asked for, by an object (`tracker`) or by name (`track`).

    `teacher` is what was handed over: a path's zip is an artifact that the run uses.

    Raises:
        RequestError: for both at once, an unknown mode or option, or a tracked run without a folder.
    """
    if track is None:
        return tracker
    if tracker is not None:
        raise RequestError("expected tracker or track, found both; hand over one")
    options: dict[str, Any] = {"mode": track} if isinstance(track, str) else {"mode": "offline", **track}
    unknown = sorted(set(options) - {"mode", *OPTIONS})
    if unknown:
        raise RequestError(f"expected of track a mode and any of {', '.join(OPTIONS)}, found {', '.join(unknown)}")
    mode = options.pop("mode")
    if mode not in MODES:
        raise RequestError(f"expected to track by one of {', '.join(MODES)}, found {mode!r}")
    if mode != "disabled" and out is None:
        raise RequestError("expected a run folder for what is tracked, found none; name out=..., or leave out track")
    if isinstance(options.get("tags"), str):
        options["tags"] = (options["tags"],)
    return tracker_maker(mode, **options, teacher=find_zip(Path(teacher)) if isinstance(teacher, str | Path) else None)
