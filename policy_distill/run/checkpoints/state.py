"""All that the rest of a run depends on, as arrays and JSON values, and back.

In: a session with its selection. Out: the same, in a session that was just opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy_distill.collection.acting import Acting
from policy_distill.run.checkpoints.stream_state import Saved, StreamRecord, restore_stream, stream_state
from policy_distill.run.judging.selection import Judged, Selection
from policy_distill.run.judging.stopping import Looks, StoppingSelection
from policy_distill.run.session import Session
from policy_distill.run.stream import Stream
from policy_distill.system.records import COUNT, MEASURED, NUMBERS, OBJECT, Each, load, part
from policy_distill.training.effort import Effort
from policy_distill.training.learner import named
from policy_distill.training.learners import while_learning


@dataclass(frozen=True)
class SessionRecord(StreamRecord):
    """What a checkpoint says of a session with its selection, beside arrays."""

    best_env_steps: int | None = part(COUNT)
    """When the best student was judged; None where there is none yet."""
    owed: Mapping[str, float] | None = part(Each(MEASURED))
    """What the iteration measured after which the student is still to be judged; None between iterations."""
    iteration: int = part(COUNT, needed=True)
    effort: Mapping[str, Any] | None = part(OBJECT)
    """How hard it trains; see `Effort`. None in a checkpoint of a version whose passes were fixed."""
    fresh: Sequence[float] | None = part(NUMBERS)
    """What the last rollouts diverged by before they were learnt from; None in a checkpoint of an earlier version."""
    looks: Mapping[str, Any] | None = part(OBJECT)
    """What decides when the collection ends; None where the budget does."""
    recoveries: int = part(COUNT, needed=True)


class SessionState:
    """A session with its selection, as checkpoints see them."""

    def __init__(self, session: Session, selection: Selection) -> None:
        self._session = session
        self._selection = selection

    @property
    def stream(self) -> Stream:
        """Where its states come from."""
        return self._session.stream

    @property
    def begun(self) -> bool:
        """True once there is a student to keep."""
        return self._session.has_student

    def state(self) -> Saved:
        """Return all that the rest of a run depends on: arrays, and a `SessionRecord`."""
        session, selection, best = self._session, self._selection, self._selection.best
        tensors, record = stream_state(session.stream)
        with while_learning():
            tensors |= session.learner.state()
            tensors |= session.critics.state() if session.critics else {}
        if session.acting is not None:
            tensors |= {f"acting.{name}": value.cpu().numpy() for name, value in session.acting.weights.items()}
        if best is not None:
            tensors |= {f"best.{name}": value.cpu().numpy() for name, value in best.weights.items()}
            tensors["selection.returns"] = best.returns
        return tensors, SessionRecord(
            **vars(record),
            best_env_steps=best.env_steps if best else None,
            owed=selection.owed,
            iteration=session.iteration,
            effort=session.effort.to_json(),
            fresh=session.fresh,
            looks=selection.looks.to_json() if isinstance(selection, StoppingSelection) else None,
            recoveries=session.learner.n_recoveries,
        )

    def restore(self, tensors: dict[str, np.ndarray], record: Mapping[str, Any]) -> Any:
        """Take what `state` returned; return the observations that the environments are to go back to.

        Raises:
            ValueError: where that is of another run.
        """
        session, selection, saved = self._session, self._selection, load(SessionRecord, record, "checkpoint")
        obs = restore_stream(session.stream, tensors, saved)
        session.create_student(session.stream.normalizer)
        session.learner.restore(tensors)
        if session.critics is not None:
            session.critics.restore(tensors)
        # None in a checkpoint of a version whose newest student acted.
        acting = _weights(tensors, "acting.")
        session.acting = Acting.restored(session.learner, acting) if acting else None
        session.learner.n_recoveries = saved.recoveries
        selection.best, selection.owed = None, None if saved.owed is None else dict(saved.owed)
        if saved.best_env_steps is not None:
            weights = _weights(tensors, "best.")
            # Now, and not when the run is over and wants them.
            current = session.learner.weights()
            session.learner.set_weights(weights)
            session.learner.set_weights(current)
            returns = np.array(tensors["selection.returns"])
            selection.best = Judged(saved.best_env_steps, weights, returns)
        session.iteration = saved.iteration
        if saved.effort is not None:
            session.effort = Effort.from_json(saved.effort)
        session.fresh = [float(one) for one in saved.fresh or ()]
        if isinstance(selection, StoppingSelection):
            selection.looks = Looks.from_json(saved.looks or {})
            session.stream.ended = selection.looks.stopped
        return obs


def _weights(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    """Return weights of a student, by name; none where there are none under `prefix`."""
    return {name: torch.from_numpy(array.copy()) for name, array in named(tensors, prefix).items()}
