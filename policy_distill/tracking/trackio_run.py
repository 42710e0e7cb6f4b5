"""trackio as a tracker: a live dashboard on one's own machine, without an account (`trackio show`).

In: metrics. Out: rows in trackio's database. It has neither a step metric nor a summary, so that steps go in as they
are and final values are logged as one last row.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy_distill.tracking.metrics import STEP, check_names
from policy_distill.tracking.worker import Worker

LOG = logging.getLogger("policy_distill")
WAIT_SECONDS = 30
"""Longest wait for it to start, or to write what is left."""


class TrackioTracker:
    """One trackio run. Use `start` to make one."""

    def __init__(self, run: Any, worker: Worker) -> None:
        self._run = run
        self._worker = worker

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics at `step` environment steps."""
        check_names(metrics)
        row = {STEP: step, **metrics}
        self._worker.submit("log", lambda: self._run.log(row, step=step))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Do nothing: the last row of metrics has the final values."""

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Do nothing: the file lies in the run folder."""

    def close(self) -> None:
        """Finish the run, within a bounded time."""
        self._worker.submit("finish", self._run.finish, always=True)
        self._worker.close(WAIT_SECONDS)


def start(
    out: Path, *, config: dict[str, Any], project: str | None = None, group: str | None = None
) -> TrackioTracker | None:
    """Start a run, or return None with a warning where trackio is missing or fails."""
    try:
        import trackio
    except ImportError:
        LOG.warning(
            "trackio is not installed: metrics go to metrics.jsonl alone; pip install 'policy-distill[trackio]'"
        )
        return None
    worker = Worker("trackio")
    name = out.resolve().name

    def init() -> Any:
        return trackio.init(project=project or "policy-distill", name=name, group=group or name, config=config)

    run = worker.ask("start", init, WAIT_SECONDS)
    if run is None:
        worker.close(0.1)
        return None
    return TrackioTracker(run, worker)
