"""A thread that talks to a service, so that whoever hands it work never waits: not for a slow one, not for a dead one.

In: calls, in order. Out: nothing; the first call that fails is said in one warning, and the later ones are dropped.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LOG = logging.getLogger("policy_distill")


class Worker:
    """One thread and its queue."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed = False
        """True once a call has raised, or was given up waiting for."""
        self._calls: queue.SimpleQueue[tuple[str, Callable[[], Any], bool] | None] = queue.SimpleQueue()
        # A daemon: a service that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, what: str, call: Callable[[], Any], *, always: bool = False) -> None:
        """Queue a call; `always` makes it after a failure too."""
        if always or not self.failed:
            self._calls.put((what, call, always))

    def ask(self, what: str, call: Callable[[], Any], seconds: float) -> Any:
        """Make a call in the thread and return its result; None where it fails or takes longer."""
        results: list[Any] = []
        done = threading.Event()

        def answer() -> None:
            try:
                results.append(call())
            finally:
                done.set()

        self.submit(what, answer)
        if not done.wait(seconds):
            self._give_up(f"{self.name} did not answer at {what} within {seconds:.0f} seconds")
        return results[0] if results else None

    def close(self, seconds: float) -> None:
        """Wait for what is queued, so long and no longer."""
        self._calls.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._give_up(f"{self.name} did not finish within {seconds:g} seconds: it is left behind")

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            what, call, always = item
            if self.failed and not always:
                continue
            try:
                call()
            except Exception as error:
                self._give_up(f"{self.name} failed at {what} ({' '.join(str(error).split())[:300]})")

    def _give_up(self, why: str) -> None:
        if not self.failed:
            self.failed = True
            LOG.warning("%s: the run continues without it; metrics.jsonl is complete", why)


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables within; None takes one away."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
