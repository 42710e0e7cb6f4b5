"""A call that runs in a process beside this one, on a core that would be idle.

In: a function of no arguments. Out: its result, later. The process is forked, so nothing has to be pickled on its way
in; where there is no second core, or a GPU is in use (which a fork must not touch), the call is made when its result is
asked for. So it is where the process fails, for whatever reason: what the call then raises is its own.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

from policy_distill.system.workers.cores import n_cores

T = TypeVar("T")
Call = Callable[[Callable[[int], None]], T]
"""A function that is told how to say how far it is."""

LOOK_EVERY = 0.2
"""Seconds between two looks at how far the call is, by whoever waits for it."""


def has_idle_core() -> bool:
    """Say whether a process beside this one costs no time, and may be started: workers of a pool may have none."""
    return n_cores() > 1 and not torch.cuda.is_initialized() and not multiprocessing.current_process().daemon


class Background(Generic[T]):
    """Starts `call` at once in a forked process, or keeps it for later where `forked` is False or no fork succeeds."""

    def __init__(self, call: Call[T], *, forked: bool) -> None:
        self._call = call
        self._process: Any = None
        if forked:
            context = multiprocessing.get_context("fork")
            # In shared memory and not in the pipe, which would fill up while nobody reads it.
            self._done = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")
            self._inbox, outbox = context.Pipe(duplex=False)
            process = context.Process(
                target=_run, args=(call, self._inbox, outbox, self._done, os.getpid()), daemon=True
            )
            with warnings.catch_warnings():
                # Newer versions of Python warn of threads; none of ours holds a lock that the child takes.
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    process.start()
                    self._process = process
                except OSError:
                    # No room for a further process.
                    self._inbox.close()
            outbox.close()

    def result(self, on_progress: Callable[[int], None] | None = None) -> T:
        """Wait for the result; what the call raises is raised here. A process that failed is made up for.

        `on_progress` is called with the count so far, at least every `LOOK_EVERY` seconds while a process is waited
        for, so that it may also be what ends the wait.
        """
        say = on_progress or (lambda done: None)
        if self._process is None:
            return self._call(say)
        try:
            while not self._inbox.poll(LOOK_EVERY):
                say(self._done[0])
            received = self._receive()
        finally:
            self.close()
        if not received:
            return self._call(say)
        say(self._done[0])
        return received[0]

    def _receive(self) -> tuple[T, ...]:
        """Return what the process made, alone; nothing where it failed."""
        try:
            return (self._inbox.recv(),)
        except (EOFError, OSError):
            return ()

    def close(self) -> None:
        """End the process, whether it is done or not."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(1.0)
            # Where a library of the environment's has taken the signal for itself.
            self._process.kill()
            self._process.join()
            self._inbox.close()
            self._process = None


def _run(call: Call[Any], inbox: Any, outbox: Any, done: memoryview, parent: int) -> None:
    # Control-C reaches this process too; the one that waits for it decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Else a result that is written after the reader died would wait for ever: this end is a reader too.
    inbox.close()
    # The threads of torch's pool did not come along.
    torch.set_num_threads(1)

    def say(count: int) -> None:
        done[0] = count
        if os.getppid() != parent:
            os._exit(1)

    try:
        outbox.send(call(say))
    except Exception:
        # Not every exception can be sent. Who waits sees that nothing came, makes the call, and meets it there.
        os._exit(1)
