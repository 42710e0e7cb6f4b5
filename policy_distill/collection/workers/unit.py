"""What a worker is asked, and what it says: records that go from one process to another.

In: nothing. Out: a unit of work is a function of these alone, so that whoever does it again says the same. Sizes: `N`
environments in all, `n` of one worker, `T` steps.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from policy_distill.collection.collector import Collector
from policy_distill.collection.rollout import Rollout
from policy_distill.interfaces.policies import Actor, Teacher
from policy_distill.system.nested import take
from policy_distill.system.packing import pack

ARRAYS = (*(f"collector.{name}" for name in ("n_episodes", "running", "starts")), "log.ages", "log.seeds")
"""Of a collector's state, what has a number for each environment."""


@dataclass(frozen=True)
class Stand:
    """Where a worker's environments stand before a unit."""

    obs: Any
    """What they show, `[n, ...]`."""
    arrays: Mapping[str, np.ndarray]
    """As of `Collector.state`."""
    actor_state: Any
    """What who acts carries, of all `N` environments."""

    @classmethod
    def of(cls, collector: Collector, first: int, end: int) -> Stand:
        """Return where environments `first` to `end - 1` of a collector stand."""
        own = slice(first, end)
        arrays, _ = collector.state()
        cut = {name: arrays[name][own] for name in ARRAYS} | {"collector.returns": np.zeros(0)}
        cut["log.actions"] = arrays["log.actions"][:, own]
        return cls(take(collector.envs.obs, own), cut, collector.actor_state)

    def restored(self, collector: Collector) -> Any:
        """Let a collector of these environments stand here, but for the environments; return what they show."""
        arrays = dict(self.arrays)
        obs = collector.restore(arrays, {"obs": pack("obs", self.obs, arrays), "actor": None})
        collector.actor_state = self.actor_state
        return obs


@dataclass(frozen=True)
class Labelling:
    """How workers label."""

    teacher: Teacher
    """Who, as they are now."""
    labelled: bool
    """True where workers are to label: the teacher was fitted to the first rollout, and they are not waited for."""
    valued: bool
    """True where values are asked for."""
    states: list[Any] | None
    """What the teacher carries of each environment."""


@dataclass(frozen=True)
class Unit:
    """A rollout of one worker's environments."""

    actor: Any
    """Whoever acts in all environments, as of `packed`, as of `Pool.share`."""
    n_steps: int
    """`T`."""
    deterministic: bool
    """See `Source.collect`."""
    teacher_share: float
    """Likewise."""
    masked: bool
    """Likewise."""
    columns: tuple[str, ...]
    """Likewise."""
    labelled: bool
    """True where the teacher says what it would do: it does once it was fitted to the first rollout."""
    valued: bool
    """True where it says values too."""
    calibration: Any
    """See `Teacher.calibration`."""
    label_states: list[Any] | None
    """What the teacher carries of each of the `n` environments."""
    restarts: int
    """Restarts that are left."""


@dataclass(frozen=True)
class Share:
    """What a worker has made of a unit."""

    rollout: Rollout
    """Of its environments alone, `[T, n, ...]`."""
    params: np.ndarray | None
    """The teacher's distribution parameters `[T, n, P]`, where they were asked for."""
    values: np.ndarray | None
    """Its values `[T, n]`, likewise."""
    label_states: list[Any] | None
    """What it carries of each environment."""
    obs: Any
    """What follows, `[n, ...]`."""
    n_episodes: np.ndarray
    """See `Collector`; `[n]`, as what follows."""
    running: np.ndarray
    """Likewise."""
    starts: np.ndarray
    """Likewise."""
    ages: np.ndarray
    """Steps of each running episode."""
    seeds: np.ndarray
    """What it began from."""
    actions: np.ndarray
    """`[T, n, ...]`, as the actor gave them."""
    ended: list[tuple[int, int, float]]
    """Step, environment and return of each episode that ended."""
    actor_state: Any
    """What who acts carries: of all `N` environments, of which those of others mean nothing."""
    n_restarts: int
    """Restarts made."""
    env_seconds: float
    """Time spent in the environments themselves."""


class _Packer(cloudpickle.Pickler):
    def __init__(self, file: io.BytesIO, teacher: Teacher) -> None:
        super().__init__(file, protocol=5)
        self._teacher = teacher

    def persistent_id(self, one: Any) -> str | None:
        """Name the teacher, which every worker has."""
        return "teacher" if one is self._teacher else None


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, teacher: Teacher) -> None:
        super().__init__(file)
        self._teacher = teacher

    def persistent_load(self, name: Any) -> Any:
        """Return the teacher that this worker has."""
        return self._teacher


def packed(actor: Actor, teacher: Teacher) -> bytes:
    """Return an actor as bytes, without the teacher that it may ask."""
    file = io.BytesIO()
    _Packer(file, teacher).dump(actor)
    return file.getvalue()


def unpacked(actor: bytes, teacher: Teacher) -> Any:
    """Return the actor that `packed` took, who asks this teacher."""
    return _Unpacker(io.BytesIO(actor), teacher).load()
