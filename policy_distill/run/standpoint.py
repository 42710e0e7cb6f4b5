"""Where a session stands between two iterations, so that a stop in the middle of one loses nothing but that one.

In: a session, and what keeps its checkpoints. Out: the session as it was before a rollout, written down.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from policy_distill.run.checkpoint import Keeper
from policy_distill.run.session import Session
from policy_distill.system.interrupts import Interrupted, Interrupts
from policy_distill.tracking.table import FanOut


class Standpoint:
    """What a rollout changes, apart from the environments themselves: a resumed run brings those back."""

    def __init__(self, session: Session) -> None:
        collector = session.collector
        self._session = session
        self._env_steps, self._n_restarts = session.env_steps, session.restarts.n_here
        self._obs = copy.deepcopy(session.envs.obs)
        self._arrays = {
            name: getattr(collector, name).copy() for name in ("n_episodes", "running", "starts", "returns")
        }
        self._state = collector.state
        self._log = None if collector.log is None else collector.log.mark()

    def go_back(self) -> None:
        """Take the session back to here."""
        session, collector = self._session, self._session.collector
        session.env_steps = self._env_steps
        session.restarts.go_on(self._n_restarts)
        _write(session.envs.obs, self._obs)
        for name, value in self._arrays.items():
            setattr(collector, name, value)
        collector.state = self._state
        if collector.log is not None and self._log is not None:
            collector.log.go_back(self._log)


@contextmanager
def kept_where_stopped(
    session: Session, keeper: Keeper, tracker: FanOut, interrupts: Interrupts, point: Standpoint | None = None
) -> Iterator[None]:
    """Within, a stop writes a checkpoint first: of where the session stands, or of `point`, to which it goes back.

    Raises:
        Interrupted: where it was asked for; it says whether there is a checkpoint.
    """
    try:
        yield
    except Interrupted:
        if point is not None:
            point.go_back()
        if session.policy is not None and keeper.due(stopping=True):
            tracker.sync()
            keeper.save()
        interrupts.stop_if_requested(f"at {session.env_steps} of {session.config.timesteps} steps")
        raise


def _write(storage: Any, values: Any) -> None:
    if isinstance(storage, dict):
        for key, value in storage.items():
            _write(value, values[key])
    elif storage is not None and values is not None:
        storage[...] = values
