"""trackio as a tracker: a live dashboard on one's own machine, without an account (`trackio show`).

In: metrics. Out: rows in trackio's database. It has neither a step metric nor a summary, so that steps go in as they
are and final values are logged as one last row.

trackio finds the run to resume by its name alone, which two run folders may share, adds to it what a resumed run says
again, and misses what a killed process had not written yet. So a resumed run is told to it anew, all of it, and takes
the place of the one before.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from policy_distill.student.file import write_atomically
from policy_distill.tracking.attempts import RESUMABLE
from policy_distill.tracking.base import BaseTracker, TrackerOptions
from policy_distill.tracking.metrics import STEP, check_metric_names
from policy_distill.tracking.worker import Worker

LOG = logging.getLogger("policy_distill")
WAIT_SECONDS = 30
"""Longest wait for it to start, or to write what is left."""

RUN_FILE = "trackio.json"
"""In the run folder: which runs in which project are this folder's, the last of them the one to keep."""


class TrackioTracker(BaseTracker):
    """One trackio run. Use `start_trackio` to make one; files stay in the run folder, the last row has final values."""

    wants_history = True
    """A resumed distillation must tell this run what came before."""

    def __init__(self, run: Any, worker: Worker) -> None:
        self._run = run
        self._worker = worker

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics at `step` environment steps."""
        check_metric_names(metrics)
        row = {STEP: step, **metrics}
        self._worker.submit("log", lambda: self._run.log(row, step=step))

    def close(self) -> None:
        """Finish the run, within a bounded time."""

        def finish() -> None:
            with redirect_stdout(sys.stderr):
                self._run.finish()

        self._worker.submit("finish", finish, always=True)
        self._worker.close(WAIT_SECONDS)


def start_trackio(out: Path, config: dict[str, Any], options: TrackerOptions) -> TrackioTracker | None:
    """Start a run, or return None with a warning where trackio is missing or fails.

    Args:
        out: the run folder, which gives the run its name.
        config: the run's settings.
        options: a run whose job is `distill` or `finetune` takes the place of an earlier attempt in the same folder;
            the project is "policy-distill" where none is named.
    """
    try:
        import trackio
    except ImportError:
        LOG.warning("trackio is not installed: metrics go to metrics.jsonl only; pip install 'policy-distill[trackio]'")
        return None
    worker = Worker("trackio")
    name, place = out.resolve().name, options.project or "policy-distill"

    def init() -> Any:
        # What it says of itself must not get between the lines of a program that reads ours.
        with redirect_stdout(sys.stderr):
            run = trackio.init(project=place, name=name, group=options.group or name, config=config)
        if options.job_type in RESUMABLE:
            _take_the_place(trackio, out / RUN_FILE, place, str(run.id))
        return run

    run = worker.ask("start", init, WAIT_SECONDS)
    if run is None:
        worker.close(0.1)
        return None
    return TrackioTracker(run, worker)


def _take_the_place(trackio: Any, path: Path, project: str, run_id: str) -> None:
    """Delete the runs of earlier attempts in the same folder: the one that starts now says all of it again."""
    try:
        earlier = {str(known): str(place) for known, place in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        earlier = {}
    # First of all written down, so that no attempt is forgotten where this one dies here.
    write_atomically(path, json.dumps({**earlier, run_id: project}).encode())
    try:
        for where in set(earlier.values()):
            for run in trackio.Api().runs(where):
                if earlier.get(str(run.id)) == where:
                    run.delete()
    except Exception as error:
        LOG.warning("trackio keeps the earlier attempt too (%s)", " ".join(str(error).split())[:300])
        return
    write_atomically(path, json.dumps({run_id: project}).encode())
