"""SIGINT and SIGTERM as a polite request: the step is finished and saved first; a second SIGINT stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType


class Interrupted(KeyboardInterrupt):
    """A run that was asked to stop; the message says what was kept."""

    def __init__(self, message: str, *, saved: bool = False) -> None:
        super().__init__(message)
        self.saved = saved
        """True where there is a checkpoint to go on from."""


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Within, a SIGTERM raises `KeyboardInterrupt`, as a SIGINT does, where nothing else has been set to take it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


_ACTIVE: list[Interrupts] = []
"""The runs that take the signals of this process, the innermost last."""


def stop_if_requested(where: str) -> None:
    """Raise `Interrupted` where the run that this process is in was asked to stop; called between any two steps."""
    for interrupts in _ACTIVE:
        interrupts.stop_if_requested(where)


class Interrupts:
    """Within this context a first signal only sets `requested`; outside the main thread nothing changes."""

    def __init__(self, *, saved: bool = False) -> None:
        self.requested = False
        self.saved = saved
        """True once there is a checkpoint to go on from."""
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
            _ACTIVE.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self in _ACTIVE:
            _ACTIVE.remove(self)

    def stop_if_requested(self, where: str) -> None:
        """Raise `Interrupted` where a signal has come."""
        if self.requested:
            kept = "the checkpoint is written" if self.saved else "nothing was kept"
            raise Interrupted(f"stopped {where}; {kept}", saved=self.saved)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
