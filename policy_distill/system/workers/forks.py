"""A time in which this process is not forked: while a thread of it starts something that a fork would break.

A fork in the middle of an import leaves a process that can never import the same modules. One in the middle of
`subprocess.Popen` keeps the pipe open by which it learns that its program has started, so that it waits until the
forked process ends.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 5.0
"""Seconds from a start on in which a fork waits for it: it may hang."""


class _Starts:
    """What is being started, by whichever thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.begun: list[float] = []
        """When each start began, as `time.monotonic` says."""

    @property
    def left(self) -> float:
        """Seconds that a fork still waits at most; 0 where nothing starts."""
        return max((began + LONGEST - time.monotonic() for began in self.begun), default=0.0)


_starts = _Starts()


@contextmanager
def unforked() -> Iterator[None]:
    """Within, a fork waits, `LONGEST` seconds at most."""
    starts, began = _starts, time.monotonic()
    with starts.changed:
        starts.begun.append(began)
    try:
        yield
    finally:
        with starts.changed:
            starts.begun.remove(began)
            starts.changed.notify_all()


def may_fork() -> bool:
    """Say whether a fork would not have to wait."""
    return _starts.left <= 0


def _before() -> None:
    # Held until the fork is made, so that nothing starts meanwhile.
    _starts.changed.acquire()
    while (left := _starts.left) > 0:
        _starts.changed.wait(left)


def _after_in_parent() -> None:
    _starts.changed.release()


def _after_in_child() -> None:
    global _starts
    # The threads that start something did not come along.
    _starts = _Starts()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
