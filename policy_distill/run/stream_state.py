"""All that a stream's next rollout depends on, as arrays and JSON values, and back.

In: a stream between two rollouts. Out: the same, in a stream that was just opened; generators need no place in it,
since their seeds are functions of the iteration (`training/schedule.py`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from policy_distill.collection.labelling import split_state
from policy_distill.run.stream import Stream
from policy_distill.student.features import dump_normalizer, load_normalizer
from policy_distill.student.spaces import describe_space
from policy_distill.system.packing import pack_or_none, unpack
from policy_distill.training.learner import named

LOG = logging.getLogger("policy_distill")
Saved = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Arrays, and JSON values."""


@dataclass(frozen=True)
class StreamRecord:
    """What a checkpoint says of a stream, beside arrays; of a file, nobody vouches for the values."""

    env_steps: int
    seconds: dict[str, float]
    """Time spent so far, by stage."""
    wall_seconds: float
    normalizer: Any
    """As of `dump_normalizer`."""
    buffer_next: int
    """The row where the next state goes."""
    calibration: Any
    """See `Teacher.calibration`."""
    env_restarts: int
    """Environments that were restarted so far."""
    obs: Any
    """What the environments showed last, packed."""
    states: dict[str, Any]
    """Recurrent states, packed: the `actor`'s, and the `teacher`'s where it labels; None for what has no form."""
    begins_anew: str
    """In words, what a run that goes on from here cannot bring back; empty where that is nothing."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> StreamRecord:
        """Return what a checkpoint's record says of a stream.

        Raises:
            KeyError: where something is missing.
        """
        # For whoever writes it, and not read again.
        said = {"begins_anew": "", **record}
        return cls(**{one.name: said[one.name] for one in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """Return the JSON values that a checkpoint's record has, among others."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def stream_state(stream: Stream) -> Saved:
    """Return all that the rest of a stream depends on: arrays, and the values of a `StreamRecord`."""
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
    return tensors, record.to_json()


def _begins_anew(stream: Stream, states: dict[str, Any]) -> str:
    """Return in words what a run that goes on from here cannot bring back; empty where that is nothing."""
    lost = stream.source.lost()
    parts = ["a recurrent state begins anew"] if None in states.values() else []
    if lost:
        reasons = "; ".join(sorted(set(lost.values())))
        parts.append(f"{len(lost)} of {stream.envs.n_envs} environments start a new episode ({reasons})")
    return " and ".join(parts)


def restore_stream(stream: Stream, tensors: dict[str, np.ndarray], record: dict[str, Any]) -> Any:
    """Give a stream what `stream_state` returned; return the observations that its environments are to go back to.

    Raises:
        ValueError: where that is of another stream.
    """
    saved = StreamRecord.of(record)
    source, states = stream.source, saved.states
    obs = source.restore(tensors, {"obs": saved.obs, "actor": states.get("actor")})
    stream.open(load_normalizer(saved.normalizer, describe_space(stream.sight.space)))
    stream.buffer.restore(named(tensors, "buffer."), count_of(record, "buffer_next"))
    if stream.episodes is not None:
        stream.episodes.restore(named(tensors, "episodes."))
        stream.episodes.tell(stream.buffer)
    if saved.calibration is not None:
        stream.teacher = stream.teacher.with_calibration(saved.calibration)
    if None in states.values():
        LOG.warning("a recurrent state has no form in a checkpoint: it begins anew, and the run differs from there on")
    of_teacher = states.get("teacher")
    found = None if of_teacher is None else unpack(of_teacher, tensors)
    # A version that labelled all environments at once carried one state for all.
    stream.label_states = found if isinstance(found, list | None) else split_state(found, stream.envs.n_envs)
    stream.restarts.go_on(count_of(record, "env_restarts"))
    watch = stream.watch
    watch.seconds = {stage: _seconds(saved.seconds[stage]) for stage in watch.seconds}
    source.env_seconds = watch.seconds["environment"]
    watch.began = time.perf_counter() - _seconds(saved.wall_seconds)
    stream.env_steps = count_of(record, "env_steps")
    return obs


def count_of(record: dict[str, Any], name: str) -> int:
    """Return a number of steps or other events.

    Raises:
        ValueError: where it is none.
    """
    value = record[name]
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"{name} is no count")
    return value


def _seconds(value: Any) -> float:
    """Return a time that has passed."""
    if not 0.0 <= float(value) < math.inf:
        raise ValueError("a time is not finite")
    return float(value)
