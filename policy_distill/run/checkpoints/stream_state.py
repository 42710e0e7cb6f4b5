"""All that a stream's next rollout depends on, as arrays and JSON values, and back.

In: a stream between two rollouts. Out: the same, in a stream that was just opened; generators need no place in it,
since their seeds are functions of the iteration (`training/schedule.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.collection.labelling import split_state
from policy_distill.run.stream import Stream
from policy_distill.student.features import dump_normalizer, load_normalizer
from policy_distill.student.spaces import describe_space
from policy_distill.system.packing import pack_or_none, unpack
from policy_distill.system.records import ANYTHING, COUNT, OBJECT, TEXT, TIME, Each, part
from policy_distill.training.learner import named

LOG = logging.getLogger("policy_distill")


@dataclass(frozen=True)
class StreamRecord:
    """What a checkpoint says of a stream, beside arrays; of a file, nobody vouches for the values."""

    env_steps: int = part(COUNT, needed=True)
    seconds: Mapping[str, float] = part(Each(TIME), needed=True)
    """Time spent so far, by stage."""
    wall_seconds: float = part(TIME, needed=True)
    normalizer: Mapping[str, Any] | None = part(OBJECT)
    """As of `dump_normalizer`."""
    buffer_next: int = part(COUNT, needed=True)
    """The row where the next state goes."""
    calibration: Any = part(ANYTHING)
    """See `Teacher.calibration`."""
    env_restarts: int = part(COUNT, needed=True)
    """Environments that were restarted so far."""
    obs: Mapping[str, Any] = part(OBJECT, needed=True)
    """What the environments showed last, packed."""
    states: Mapping[str, Any] = part(OBJECT, needed=True)
    """Recurrent states, packed: the `actor`'s, and the `teacher`'s where it labels; None for what has no form."""
    begins_anew: str | None = part(TEXT)
    """In words, what a run that goes on from here cannot bring back; empty where that is nothing. It is not read."""


Saved = tuple[dict[str, np.ndarray], StreamRecord]
"""All that a run depends on: arrays, and what a checkpoint says beside them, of the stream and of the run."""


def stream_state(stream: Stream) -> Saved:
    """Return all that the rest of a stream depends on."""
    tensors, source = stream.source.state()
    tensors |= {f"buffer.{name}": array for name, array in stream.buffer.state().items()}
    if stream.episodes is not None:
        tensors |= {f"episodes.{name}": array for name, array in stream.episodes.state().items()}
    of_teacher = pack_or_none("state.teacher", stream.label_states, tensors)
    states = {"actor": source["actor"], "teacher": of_teacher}
    record = StreamRecord(
        env_steps=stream.env_steps,
        seconds=stream.watch.seconds,
        wall_seconds=stream.watch.wall_seconds,
        normalizer=dump_normalizer(stream.normalizer),
        buffer_next=stream.buffer.next,
        calibration=stream.teacher.calibration,
        env_restarts=stream.restarts.n_here,
        obs=source["obs"],
        states=states,
        begins_anew=_begins_anew(stream, states),
    )
    return tensors, record


def _begins_anew(stream: Stream, states: dict[str, Any]) -> str:
    """Return in words what a run that goes on from here cannot bring back; empty where that is nothing."""
    lost = stream.source.lost()
    parts = ["a recurrent state starts from zero"] if None in states.values() else []
    if lost:
        reasons = "; ".join(sorted(set(lost.values())))
        parts.append(f"{len(lost)} of {stream.envs.n_envs} environments start a new episode ({reasons})")
    return " and ".join(parts)


def restore_stream(stream: Stream, tensors: dict[str, np.ndarray], saved: StreamRecord) -> Any:
    """Give a stream what `stream_state` returned; return the observations that its environments are to go back to.

    Raises:
        ValueError: where that is of another stream.
    """
    source, states = stream.source, saved.states
    obs = source.restore(tensors, {"obs": saved.obs, "actor": states.get("actor")})
    stream.open(load_normalizer(saved.normalizer, describe_space(stream.sight.space)))
    stream.buffer.restore(named(tensors, "buffer."), saved.buffer_next)
    if stream.episodes is not None:
        stream.episodes.restore(named(tensors, "episodes."))
        stream.episodes.tell(stream.buffer)
    if saved.calibration is not None:
        stream.teacher = stream.teacher.with_calibration(saved.calibration)
    if None in states.values():
        LOG.warning(
            "a recurrent state cannot be stored in a checkpoint: it starts from zero, and the run differs from there on"
        )
    of_teacher = states.get("teacher")
    found = None if of_teacher is None else unpack(of_teacher, tensors)
    # A version that labelled all environments at once carried one state for all.
    stream.label_states = found if isinstance(found, list | None) else split_state(found, stream.envs.n_envs)
    stream.restarts.go_on(saved.env_restarts)
    watch = stream.watch
    watch.seconds = {stage: float(saved.seconds[stage]) for stage in watch.seconds}
    source.env_seconds = watch.seconds["environment"]
    watch.began = time.perf_counter() - saved.wall_seconds
    stream.env_steps = saved.env_steps
    return obs
