"""A W&B run in a thread of its own, which starts with the first that is logged: a run's first steps wait for nothing.

In: how a run is started, and what it is to be told. Out: calls in that thread, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.system.workers.forks import unforked
from policy_distill.tracking.worker import Worker


@dataclass(frozen=True)
class Started:
    """A run that W&B has started."""

    run: Any
    wandb: Any
    """The library."""
    online: bool
    known: Mapping[str, Any]
    """The summary of one that is resumed, so far."""


class RunThread:
    """Starts a run when it is first told something."""

    def __init__(self, begin: Callable[[], Started | None]) -> None:
        """`begin` is called in the thread; None where W&B cannot start, after a warning."""
        self._begin = begin
        self._worker = Worker("W&B")
        self._begun = False
        self.started: Started | None = None

    @property
    def run(self) -> Started:
        """The run, for calls in the thread: there it has started."""
        assert self.started is not None, "calls are made after the start"
        return self.started

    def submit(self, what: str, call: Callable[[], Any]) -> None:
        """Queue a call, which nobody waits for."""
        self._begin_once()
        self._worker.submit(what, call)

    def start_now(self, seconds: float) -> bool:
        """Start, and wait for it so long; say whether it did."""
        self._begun = True
        self._worker.ask("start", self._start, seconds)
        return self.started is not None

    def sync(self, seconds: float) -> None:
        """Wait until a run that was told something has started, so long and no longer."""
        if self._begun and self.started is None and not self._worker.failed:
            self._worker.ask("start", lambda: None, seconds)

    def close(self, finish: Callable[[], Any], seconds: float) -> None:
        """Finish the run, within so many seconds; one that was told nothing has its settings all the same."""
        self._begin_once()
        self._worker.submit("finish", lambda: self.started and finish(), always=True)
        self._worker.close(seconds)

    def _begin_once(self) -> None:
        if not self._begun:
            self._begun = True
            self._worker.submit("start", self._start)

    def _start(self) -> None:
        # W&B is imported, and starts programs.
        with unforked():
            self.started = self._begin()
        # Said already; what follows has nowhere to go.
        self._worker.failed = self._worker.failed or self.started is None


def folders(folder: Path) -> dict[str, str]:
    """Return the environment that makes W&B keep all its files below `folder`."""
    path = str(folder.resolve())
    return {"WANDB_DATA_DIR": path, "WANDB_CACHE_DIR": f"{path}/cache", "WANDB_ARTIFACT_DIR": f"{path}/artifacts"}
