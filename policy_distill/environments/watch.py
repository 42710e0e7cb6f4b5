"""Finds environments that hang or have died, from outside of them.

In: a limit of seconds, or a vector of processes and what it raised. Out: `Misbehaviour` in the main thread, or the
index of the environment to blame.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from policy_distill.environments.faults import ALL, EnvFaults, Misbehaviour, reason_of
from policy_distill.system.foreign import asked

SIGNAL = signal.Signals.__members__.get("SIGUSR2")
"""Wakes the main thread out of a step that hangs; None where a system has no such signal."""


@contextmanager
def step_limit(seconds: float) -> Iterator[None]:
    """Within, raise `Misbehaviour` in the main thread where a step or reset of them takes longer than `seconds`.

    A watching thread sends a signal, which Python code and blocked system calls notice; compiled code that never
    returns does not. Without a limit (0), outside the main thread or without signals nothing is watched.
    """
    if seconds <= 0 or SIGNAL is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    main, done, overdue = threading.main_thread().ident, threading.Event(), list[tuple[EnvFaults, int]]()
    assert main is not None

    def watch() -> None:
        since: dict[tuple[EnvFaults, int], float] = {}
        while not done.wait(min(seconds / 4, 1.0)):
            try:
                busy = [(faults, faults.n_calls) for faults in list(ALL) if faults.stepping]
            except RuntimeError:
                # Environments are being opened at this very moment: the next look finds them.
                continue
            now = time.monotonic()
            since = {step: since.get(step, now) for step in busy}
            late = [step for step, began in since.items() if now - began > seconds]
            if late:
                overdue[:] = late
                since = {}
                signal.pthread_kill(main, SIGNAL)

    def interrupt(number: int, frame: FrameType | None) -> None:
        late, overdue[:] = list(overdue), []
        if any(faults.stepping and faults.n_calls == n_calls for faults, n_calls in late):
            raise Misbehaviour(None, f"it took longer than {seconds:g} seconds (--env-timeout)")

    before = signal.signal(SIGNAL, interrupt)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        signal.signal(SIGNAL, before)


def workers_of(vector: Any) -> list[tuple[Any, Any]]:
    """Return process and pipe of each environment in a vector of processes, SB3's or Gymnasium's; else nothing."""
    while (inner := asked(vector, "venv")) is not None:
        vector = inner
    vector = asked(vector, "unwrapped", vector)
    pipes = asked(vector, "remotes") or asked(vector, "parent_pipes") or ()
    return list(zip(asked(vector, "processes", ()), pipes, strict=False))


def culprit_of(vector: Any, error: Exception) -> tuple[int | None, Exception]:
    """Return the index of the environment whose process died, or did not answer, and the error in words."""
    workers = workers_of(vector)
    for index, (process, _) in enumerate(workers):
        process.join(0.2)
        if not process.is_alive():
            return index, Misbehaviour(index, f"its process died (exit code {process.exitcode}): {reason_of(error)}")
    # All are alive: the vector was waiting for one, whose pipe is in a frame that the error came through.
    frames = list(traceback.walk_tb(error.__traceback__))
    for index, (_, pipe) in enumerate(workers):
        if any(value is pipe for frame, _ in frames for value in frame.f_locals.values()):
            return index, error
    return None, error
