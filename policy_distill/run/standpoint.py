"""Where a stream stands between two iterations, so that a stop in the middle of one loses nothing but that one.

In: a stream, and what keeps its checkpoints. Out: the stream as it was before a rollout, written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from policy_distill.run.checkpoints.checkpoint import Keeper
from policy_distill.run.session import Session
from policy_distill.run.stream import Stream
from policy_distill.system.interrupts import Interrupted, Interrupts
from policy_distill.tracking.fan_out import FanOut


class Standpoint:
    """What a rollout changes, apart from the environments themselves: a resumed run brings those back."""

    def __init__(self, *streams: Stream, session: Session | None = None) -> None:
        """Note where a stream stands, or several that go on together, and who acts in a session's next rollout."""
        self._marks = [
            (one, one.env_steps, one.restarts.n_here, one.label_states, one.source.mark()) for one in streams
        ]
        self._session, self._acting = session, None if session is None else session.acting

    def go_back(self) -> None:
        """Take them back to here."""
        for stream, env_steps, n_restarts, label_states, mark in self._marks:
            stream.env_steps, stream.label_states = env_steps, label_states
            stream.restarts.go_on(n_restarts)
            stream.source.go_back(mark)
        if self._session is not None:
            self._session.acting = self._acting


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
