"""All that the rest of a race depends on, as arrays and JSON values, and back.

In: a race between two rollouts. Out: the same, in a race that was just opened. What follows a race is a function of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.compression.judge import Kept
from policy_distill.compression.members import Gone
from policy_distill.compression.race import Race
from policy_distill.run.checkpoints.stream_state import Saved, StreamRecord, restore_stream, stream_state
from policy_distill.run.stream import Stream
from policy_distill.system.records import COUNT, MEASURED, NUMBER, TEXT, Each, ListOf, load, part
from policy_distill.training.learner import named


@dataclass(frozen=True)
class RaceRecord(StreamRecord):
    """What a checkpoint says of a race, beside arrays; members go by their numbers, networks by their names."""

    iteration: int = part(COUNT, needed=True)
    rung: int = part(COUNT, needed=True)
    costs: Mapping[str, float] = part(Each(NUMBER), needed=True)
    """Of the candidates, as they were measured."""
    owed: Mapping[str, float] | None = part(Each(MEASURED))
    """See `Race.owed`."""
    out: Mapping[str, str] = part(Each(TEXT), needed=True)
    """Why a member is out."""
    recoveries: Mapping[str, int] = part(Each(COUNT), needed=True)
    """How often a member went back to what it had."""
    dropped: tuple[Gone, ...] = part(ListOf(Gone), needed=True)
    kept: Mapping[str, Kept] = part(Each(Kept), needed=True)


class RaceState:
    """A race, as checkpoints see it."""

    def __init__(self, race: Race) -> None:
        self._race = race

    @property
    def stream(self) -> Stream:
        """Where its states come from."""
        return self._race.stream

    @property
    def begun(self) -> bool:
        """True once there are students to keep."""
        return self._race.begun

    def state(self) -> Saved:
        """Return all that the rest depends on."""
        race = self._race
        tensors, record = stream_state(race.stream)
        tensors |= race.population.state()
        tensors |= {f"judge.{name}": array for name, array in race.judge.state().items()}
        tensors["heldout"] = race.heldout
        return tensors, RaceRecord(
            **vars(record),
            iteration=race.iteration,
            rung=race.rung,
            costs={candidate.spec: candidate.cost for candidate in race.candidates},
            owed=race.owed,
            out={str(number): why for number, why in race.population.out.items()},
            recoveries={str(number): n for number, n in race.population.recoveries.items()},
            dropped=tuple(race.dropped),
            kept=race.kept,
        )

    def restore(self, tensors: dict[str, np.ndarray], record: Mapping[str, Any]) -> Any:
        """Take what `state` returned; return the observations that the environments are to go back to.

        Raises:
            ValueError: where that is of another race.
        """
        race, saved = self._race, load(RaceRecord, record, "checkpoint")
        obs = restore_stream(race.stream, tensors, saved)
        race.costing(saved.costs)
        race.create()
        out = {int(number): why for number, why in saved.out.items()}
        recoveries = {int(number): n for number, n in saved.recoveries.items()}
        race.population.restore(tensors, out, recoveries)
        race.judge.restore(named(tensors, "judge."))
        if tensors["heldout"].shape != race.heldout.shape:
            raise ValueError("it has other students")
        race.heldout = np.array(tensors["heldout"])
        race.iteration, race.rung = saved.iteration, saved.rung
        race.owed = None if saved.owed is None else dict(saved.owed)
        race.dropped, race.kept = list(saved.dropped), dict(saved.kept)
        return obs
