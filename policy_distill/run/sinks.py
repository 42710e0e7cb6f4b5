"""Where a run is logged to: `metrics.jsonl` in its folder, and whatever tracker was asked for.

In: a tracker or what makes one, and a run folder. Out: one sink of all.
"""

from __future__ import annotations

from typing import Any

from policy_distill.interfaces.stages import Tracker
from policy_distill.run.folder import RunFolder
from policy_distill.tracking.fan_out import FanOut, with_jsonl
from policy_distill.tracking.table import MakeTracker


def open_sinks(
    tracker: Tracker | MakeTracker | None, folder: RunFolder | None, identity: dict[str, Any], resume_step: int
) -> FanOut:
    """Return all that a run is logged to, its settings written down; a resumed run goes on after `resume_step`."""
    if folder:
        # How the teacher was asked for are paths of this machine, which stay in the folder.
        folder.write_json("config.json", {**identity, "request": folder.request})
    if callable(tracker):
        tracker = tracker(folder.path, identity) if folder else None
    return with_jsonl(tracker, folder.metrics if folder else None, resume_step or None)
