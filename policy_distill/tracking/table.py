"""The trackers there are, by name, and the sinks of a run put together.

A new tracker is one file with a `Starter` and one line in `TRACKERS`, or an entry point of an installed package in the
group `policy_distill.trackers` that is a `Starter`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.interfaces.stages import Tracker
from policy_distill.system.plugins import TRACKERS as GROUP
from policy_distill.system.plugins import load_plugin, names_in
from policy_distill.teachers.files.agent_file import find_agent
from policy_distill.tracking import trackio_run, wandb_start
from policy_distill.tracking.base import Starter, TrackerOptions

LOG = logging.getLogger("policy_distill")

MakeTracker = Callable[[Path, dict[str, Any]], Tracker | None]
"""Makes a sink from a run folder and its settings."""

TRACKERS: dict[str, Starter] = {
    "offline": wandb_start.start_offline,
    "online": wandb_start.start_online,
    "trackio": trackio_run.start_trackio,
}
DISABLED = "disabled"
"""The name of none."""
OPTIONS = ("project", "group", "tags")
"""What a caller can say of a tracked run."""


@dataclass(frozen=True)
class Named:
    """Makes the tracker of a name for whatever run it is asked for."""

    start: Starter
    options: TrackerOptions

    def __call__(self, out: Path, config: dict[str, Any]) -> Tracker | None:
        """Start it for a run folder and its settings."""
        return self.start(out, config, self.options)

    def grouped(self, out: Path) -> Named:
        """Return what makes further runs in the group of the one whose folder is `out`."""
        group = self.options.group or os.environ.get("WANDB_RUN_GROUP") or out.resolve().name
        return replace(self, options=replace(self.options, group=group))


def check_track(name: str) -> None:
    """Refuse a name that nothing is tracked by.

    Raises:
        RequestError: naming those there are.
    """
    if name != DISABLED:
        _starter(name)


def tracker_maker(
    name: str,
    *,
    project: str | None = None,
    group: str | None = None,
    job_type: str = "distill",
    tags: Sequence[str] = (),
    teacher: Path | None = None,
    student: Path | None = None,
    gradients: bool = False,
) -> Named | None:
    """Return what makes a tracker from a run folder and its settings; None where `name` is `disabled`.

    Args:
        name: one of `TRACKERS`, or of what an installed package offers.
        project: as of `TrackerOptions`, like all that follow.
        group: what runs are found by together; of one that begins with a student, that student's own folder by default.
        job_type: `train`, `distill`, `finetune` or `evaluate`.
        tags: of the run.
        teacher: the file that the student comes from.
        student: the one that a fine-tuning begins with.
        gradients: log histograms of the gradients.

    Raises:
        RequestError: for an unknown name.
    """
    if name == DISABLED:
        return None
    if student is not None:
        # In the group of the run that made it, as evaluations are.
        group = group or os.environ.get("WANDB_RUN_GROUP") or student.resolve().parent.name
    return Named(_starter(name), TrackerOptions(project, group, job_type, tuple(tags), teacher, student, gradients))


def choose_tracker(
    tracker: Tracker | MakeTracker | None,
    track: str | Mapping[str, Any] | None,
    out: Any,
    teacher: Any,
    *,
    job_type: str = "distill",
    student: Path | None = None,
) -> Tracker | MakeTracker | None:
    """Return what a caller of `distill` asked for, by an object (`tracker`) or by name (`track`).

    `teacher` is what was handed over: a path's file is an artifact that the run uses.

    Raises:
        RequestError: for both at once, an unknown mode or option, or a tracked run without a folder.
    """
    if track is None:
        return tracker
    if tracker is not None:
        raise RequestError("expected tracker or track, found both; pass one")
    options: dict[str, Any] = {"mode": track} if isinstance(track, str) else {"mode": "offline", **track}
    unknown = sorted(set(options) - {"mode", *OPTIONS})
    if unknown:
        raise RequestError(f"expected a mode and any of {', '.join(OPTIONS)} in track, found {', '.join(unknown)}")
    mode = options.pop("mode")
    check_track(mode)
    if mode != DISABLED and out is None:
        raise RequestError("expected a run folder to track into, found none; set out=..., or leave track out")
    if isinstance(options.get("tags"), str):
        options["tags"] = (options["tags"],)
    used = find_agent(teacher) if isinstance(teacher, str | Path) else None
    return tracker_maker(mode, **options, teacher=used, job_type=job_type, student=student)


def _starter(name: str) -> Starter:
    if name in TRACKERS:
        return TRACKERS[name]
    found: Starter | None = load_plugin(GROUP, name) if isinstance(name, str) else None
    if found is None:
        known = [*TRACKERS, DISABLED, *names_in(GROUP)]
        raise RequestError(f"expected to track by one of {', '.join(known)}, found {name!r}")
    return _harmless(name, found)


def _harmless(name: str, start: Starter) -> Starter:
    """Return a package's starter whose failure costs a warning and not the run."""

    def started(out: Path, config: dict[str, Any], options: TrackerOptions) -> Tracker | None:
        try:
            return start(out, config, options)
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            LOG.warning(
                "%s could not start (%s: %s): metrics go to metrics.jsonl only", name, type(error).__name__, words
            )
            return None

    return started
