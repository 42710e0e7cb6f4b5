"""Where a stream stands between two iterations, so that a stop in the middle of one loses nothing but that one.

In: a stream, and what keeps its checkpoints. Out: the stream as it was before a rollout, written down.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from policy_distill.run.checkpoint import Keeper
from policy_distill.run.stream import Stream
from policy_distill.system.interrupts import Interrupted, Interrupts
from policy_distill.tracking.table import FanOut


class Standpoint:
    """What a rollout changes, apart from the environments themselves: a resumed run brings those back."""

    def __init__(self, stream: Stream) -> None:
        source = stream.source
        self._stream = stream
        self._env_steps, self._n_restarts = stream.env_steps, stream.restarts.n_here
        self._obs = copy.deepcopy(stream.envs.obs)
        self._counts = source.n_episodes.copy(), source.running.copy(), source.starts.copy()
        self._returns = source.returns.copy()
        self._state = source.state
        self._log = None if source.log is None else source.log.mark()

    def go_back(self) -> None:
        """Take the stream back to here."""
        stream, source = self._stream, self._stream.source
        stream.env_steps = self._env_steps
        stream.restarts.go_on(self._n_restarts)
        _write(stream.envs.obs, self._obs)
        source.n_episodes, source.running, source.starts = self._counts
        source.returns = self._returns
        source.state = self._state
        if source.log is not None and self._log is not None:
            source.log.go_back(self._log)


@contextmanager
def kept_where_stopped(
    keeper: Keeper, tracker: FanOut, interrupts: Interrupts, point: Standpoint | None = None
) -> Iterator[None]:
    """Within, a stop writes a checkpoint first: of where the run stands, or of `point`, to which it goes back.

    Raises:
        Interrupted: where it was asked for; it says whether there is a checkpoint.
    """
    try:
        yield
    except Interrupted:
        if point is not None:
            point.go_back()
        stream = keeper.run.stream
        if keeper.run.begun and keeper.due(stopping=True):
            tracker.sync()
            keeper.save()
        interrupts.stop_if_requested(f"at {stream.env_steps} of {stream.config.timesteps} steps")
        raise


def _write(storage: Any, values: Any) -> None:
    if isinstance(storage, dict):
        for key, value in storage.items():
            _write(value, values[key])
    elif storage is not None and values is not None:
        storage[...] = values
