"""A call that runs in a process beside this one, on a core that would be idle.

In: a function of no arguments. Out: its result, later. The process is forked, so nothing has to be pickled on its way
in; where there is no second core, or a GPU is in use (which a fork must not touch), the call is made when its result is
asked for.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")
Call = Callable[[Callable[[int], None]], T]
"""A function that is told how to say how far it is."""

SAY_EVERY = 0.2
"""Seconds between two words on how far the call is: a pipe that nobody reads must not fill up."""


def has_idle_core() -> bool:
    """Say whether a process beside this one costs no time."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return n_cores > 1 and not torch.cuda.is_initialized()


class Background(Generic[T]):
    """Starts `call` at once in a forked process, or keeps it for later where `forked` is False."""

    def __init__(self, call: Call[T], *, forked: bool) -> None:
        self._call = call
        self._process: Any = None
        if forked:
            context = multiprocessing.get_context("fork")
            self._inbox, outbox = context.Pipe(duplex=False)
            self._process = context.Process(target=_run, args=(call, self._inbox, outbox), daemon=True)
            with warnings.catch_warnings():
                # Newer versions of Python warn of threads; none of ours holds a lock that the child takes.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
            outbox.close()

    def result(self, on_progress: Callable[[int], None] | None = None) -> T:
        """Wait for the result; what the call raised is raised here. A process that died is made up for."""
        say = on_progress or (lambda done: None)
        if self._process is None:
            return self._call(say)
        try:
            while True:
                kind, value = self._inbox.recv()
                if kind == "result":
                    return value
                if kind == "error":
                    raise value
                say(value)
        except (EOFError, OSError):
            return self._call(say)
        finally:
            self.close()

    def close(self) -> None:
        """End the process, whether it is done or not."""
        if self._process is not None:
            self._process.terminate()
            self._process.join()
            self._inbox.close()
            self._process = None


def _run(call: Call[Any], inbox: Any, outbox: Any) -> None:
    # Held open here, a pipe that nobody else reads would fill up, and this process wait for ever.
    inbox.close()
    # Control-C reaches this process too; the one that waits for it decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The threads of torch's pool did not come along.
    torch.set_num_threads(1)
    said = time.monotonic()

    def say(done: int) -> None:
        nonlocal said
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            _send(outbox, ("progress", done))

    try:
        result = ("result", call(say))
    except Exception as error:
        result = ("error", error)
    _send(outbox, result)


def _send(outbox: Any, message: tuple[str, Any]) -> None:
    try:
        outbox.send(message)
    except BrokenPipeError:
        # The process that waited was killed: nobody wants to know, and nobody wants to read a traceback.
        os._exit(1)
