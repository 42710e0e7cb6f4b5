"""Workers on this machine: processes that are joined to this one by pipes.

In: what a worker is to be. Out: a `Pool`. They are forked where torch computes with one thread, so that they start at
once and nothing has to be pickled; else they are spawned, since the threads of torch's pool do not survive a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

import torch

from policy_distill.system.workers.pool import (
    LOOK_EVERY,
    MakeService,
    PoolWorker,
    Raised,
    Service,
    WorkerLost,
    served,
    to_send,
)


class LocalWorker:
    """A process of this machine."""

    def __init__(self, process: Any, pipe: Any) -> None:
        self.process = process
        self.pipe = pipe

    def ask(self, request: Any) -> None:
        """Send a request; see `PoolWorker.ask`."""
        try:
            # Not by the pipe's own pickler, which would hand tensors over in shared files.
            self.pipe.send_bytes(pickle.dumps(request, 5))
        except OSError as error:
            raise WorkerLost(self._end()) from error

    def answer(self) -> Any:
        """Return the next answer; see `PoolWorker.answer`."""
        try:
            found = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise WorkerLost(self._end()) from error
        if isinstance(found, Raised):
            raise found.error
        return found

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            # Nothing that it has is worth a farewell, and its own handlers may have been taken by a library.
            self.process.kill()
            self.process.join()
            self.process = None
            self.pipe.close()

    def _end(self) -> str:
        self.process.join(1.0)
        return f"its process ended (exit code {self.process.exitcode})"


class LocalPool:
    """Processes of this machine."""

    def __init__(self) -> None:
        self.workers: list[LocalWorker] = []

    def start(self, make: MakeService) -> LocalWorker:
        """Start a process."""
        self.workers = [one for one in self.workers if one.process is not None]
        forked = can_fork()
        context: Any = multiprocessing.get_context("fork" if forked else "spawn")
        here, there = context.Pipe()
        # A forked process has this one's ends of all pipes, and would keep the others' open after their reader died.
        held = [one.pipe for one in self.workers] + [here] if forked else []
        given = make if forked else to_send((sys.path, make))
        process = context.Process(target=_serve, args=(given, there, held, os.getpid()), daemon=True)
        with warnings.catch_warnings():
            # Newer versions of Python warn of threads; none of ours holds a lock that the child takes.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        there.close()
        self.workers.append(LocalWorker(process, here))
        return self.workers[-1]

    def share(self, value: bytes) -> Any:
        """Return the bytes themselves: each pipe carries its own."""
        return value

    def ready(self, workers: Sequence[PoolWorker], seconds: float) -> list[PoolWorker]:
        """Return those that answered or were lost."""
        pipes = {one.pipe: one for one in workers if isinstance(one, LocalWorker)}
        return [pipes[pipe] for pipe in wait(list(pipes), seconds)]

    def close(self) -> None:
        """End all processes."""
        for one in self.workers:
            one.close()
        self.workers = []


def can_fork() -> bool:
    """Say whether a fork of this process can compute: no GPU is in use, and torch has one thread."""
    forks = "fork" in multiprocessing.get_all_start_methods()
    return forks and torch.get_num_threads() == 1 and not torch.cuda.is_initialized()


def _serve(given: Any, pipe: Any, held: Sequence[Any], parent: int) -> None:
    # Control-C reaches this process too; the one that it works for decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in held:
        other.close()
    if isinstance(given, bytes):
        path, given = pickle.loads(given)
        sys.path[:] = path
    made: list[Service] = []

    def serve(request: Any) -> Any:
        if not made:
            made.append(given())
        return made[0](request)

    try:
        while True:
            while not pipe.poll(LOOK_EVERY):
                if os.getppid() != parent:
                    os._exit(1)
            request = pickle.loads(pipe.recv_bytes())
            pipe.send_bytes(pickle.dumps(served(serve, request), 5))
    except (EOFError, OSError):
        # Whoever asked is gone. Nothing of this process is to be written by it, buffers of the other one included.
        os._exit(0)
    except BaseException:
        os._exit(1)
