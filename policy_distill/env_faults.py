"""What happens when an environment misbehaves: it is named, and restarted where that was asked for.

In: an environment's index and what went wrong. Out: a `RunFault` that says where, or a count and a fresh start. Nothing
here runs while environments behave, but for one count a step.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from policy_distill.errors import RunFault, one_line

LOG = logging.getLogger("policy_distill")
SIGNAL = getattr(signal, "SIGUSR2", None)
"""Wakes the main thread out of a step that hangs; None where a system has no such signal."""


class Misbehaviour(RunFault):
    """An environment broke its own promise; `index` says which one."""

    def __init__(self, index: int | None, message: str) -> None:
        super().__init__(message)
        self.index = index


_ALL: weakref.WeakSet[EnvFaults] = weakref.WeakSet()
"""Of all environments there are, so that one watch looks after those of training and of evaluation."""


class EnvFaults:
    """Remembers where each environment's episode began, and decides about its faults."""

    def __init__(self, env_id: str, n_envs: int) -> None:
        self.env_id = env_id
        self.allowed = 0
        """Restarts that may be made in all."""
        self.n_restarts = 0
        """Restarts made so far."""
        self.n_steps = 0
        """Steps taken, of all environments at once."""
        self.stepping = False
        """True while the environments compute."""
        self._seeds: list[int | None] = [None] * n_envs
        self._begun = [0] * n_envs
        _ALL.add(self)

    def began(self, index: int, seed: int) -> None:
        """Note that an episode of environment `index` began from `seed`."""
        self._seeds[index] = seed
        self._begun[index] = self.n_steps

    def handle(self, index: int | None, error: Exception) -> None:
        """Count a restart of environment `index`, or stop the run.

        Raises:
            RunFault: where no restart is left, or the environment is unknown; with its index, step and seed.
        """
        self.stepping = False
        message = f"{self.env_id} failed: {self._where(index)}: {_reason(error)}"
        if index is None or self.n_restarts >= self.allowed:
            used = f" ({self.n_restarts} restarts were used)" if self.n_restarts else ""
            raise RunFault(f"{message}{used}; mend the environment, or allow restarts with --env-restarts") from error
        self.n_restarts += 1
        LOG.warning("%s; restarted (%d of at most %d)", message, self.n_restarts, self.allowed)

    def _where(self, index: int | None) -> str:
        if index is None:
            return f"one of {len(self._seeds)} environments at step {self.n_steps}"
        seed = self._seeds[index]
        step = self.n_steps - self._begun[index]
        return f"environment {index} at step {step} of its episode, seed {'unknown' if seed is None else seed}"


def checked_returns(env_id: str, returns: np.ndarray, seed: int) -> np.ndarray:
    """Return the returns of episodes `seed`, `seed + 1`, ...

    Raises:
        RunFault: naming the first episode whose rewards do not sum to a number.
    """
    for episode in np.flatnonzero(~np.isfinite(returns)).tolist():
        raise RunFault(
            f"{env_id} failed: the rewards of the episode of seed {seed + episode} sum to {returns[episode]}; "
            "mend the environment"
        )
    return returns


def make_writer(storage: np.ndarray) -> Callable[[int, Any], None]:
    """Return what stores one observation in `storage` `[N, ...]`; NumPy would stretch and truncate what does not fit.

    It raises `Misbehaviour` for another shape, or a dtype of another kind; one of the same kind is converted, as SB3
    does.
    """
    shape, dtype, array_type = storage.shape[1:], storage.dtype, np.ndarray
    converted: set[np.dtype[Any]] = set()

    def write(index: int, obs: Any) -> None:
        # Mostly three looks at what is there already: this is called for every step of every environment.
        if obs.__class__ is not array_type or obs.shape != shape or not (obs.dtype is dtype or obs.dtype in converted):
            obs = np.asarray(obs)
            if obs.shape != shape:
                raise Misbehaviour(index, f"it returned an observation of shape {obs.shape}, expected {shape}")
            if not np.can_cast(obs.dtype, dtype, "same_kind"):
                raise Misbehaviour(index, f"it returned an observation of dtype {obs.dtype}, expected {dtype}")
            converted.add(obs.dtype)
        storage[index] = obs

    return write


@contextmanager
def step_limit(seconds: float) -> Iterator[None]:
    """Within, raise `Misbehaviour` in the main thread where one step of any environments takes longer than `seconds`.

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
            now, busy = time.monotonic(), [(faults, faults.n_steps) for faults in list(_ALL) if faults.stepping]
            since = {step: since.get(step, now) for step in busy}
            late = [step for step, began in since.items() if now - began > seconds]
            if late:
                overdue[:] = late
                since = {}
                signal.pthread_kill(main, SIGNAL)

    def interrupt(number: int, frame: FrameType | None) -> None:
        late, overdue[:] = list(overdue), []
        if any(faults.stepping and faults.n_steps == n_steps for faults, n_steps in late):
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
    while hasattr(vector, "venv"):
        vector = vector.venv
    vector = getattr(vector, "unwrapped", vector)
    pipes = getattr(vector, "remotes", None) or getattr(vector, "parent_pipes", None) or ()
    return list(zip(getattr(vector, "processes", ()), pipes, strict=False))


def culprit_of(vector: Any, error: Exception) -> tuple[int | None, Exception]:
    """Return the index of the environment whose process died, or did not answer, and the error in words."""
    workers = workers_of(vector)
    for index, (process, _) in enumerate(workers):
        process.join(0.2)
        if not process.is_alive():
            return index, Misbehaviour(index, f"its process died (exit code {process.exitcode}): {_reason(error)}")
    # All are alive: the vector was waiting for one, whose pipe is in a frame that the error came through.
    frames = list(traceback.walk_tb(error.__traceback__))
    for index, (_, pipe) in enumerate(workers):
        if any(value is pipe for frame, _ in frames for value in frame.f_locals.values()):
            return index, error
    return None, error


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, RunFault) else f"{type(error).__name__}: "
    return one_line(f"{kind}{error}"[:300])
