"""All that the rest of a race depends on, as arrays and JSON values, and back.

In: a race between two rollouts. Out: the same, in a race that was just opened. What follows a race is a function of it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from policy_distill.compression.judge import Kept
from policy_distill.compression.race import Race
from policy_distill.run.stream import Stream
from policy_distill.run.stream_state import Saved, count_of, restore_stream, stream_state
from policy_distill.training.learner import named


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
        return tensors, {
            **record,
            "iteration": race.iteration,
            "rung": race.rung,
            "costs": {candidate.spec: candidate.cost for candidate in race.candidates},
            "owed": race.owed,
            "out": {str(number): why for number, why in race.population.out.items()},
            "recoveries": {str(number): n for number, n in race.population.recoveries.items()},
            "dropped": race.dropped,
            "kept": {spec: asdict(kept) for spec, kept in race.kept.items()},
        }

    def restore(self, tensors: dict[str, np.ndarray], record: dict[str, Any]) -> Any:
        """Take what `state` returned; return the observations that the environments are to go back to.

        Raises:
            ValueError: where that is of another race.
        """
        race = self._race
        obs = restore_stream(race.stream, tensors, record)
        race.costing({str(spec): float(cost) for spec, cost in record["costs"].items()})
        race.create()
        out = {int(number): str(why) for number, why in record["out"].items()}
        recoveries = {int(number): int(n) for number, n in record["recoveries"].items()}
        race.population.restore(tensors, out, recoveries)
        race.judge.restore(named(tensors, "judge."))
        if tensors["heldout"].shape != race.heldout.shape:
            raise ValueError("its students are others")
        race.heldout = np.array(tensors["heldout"])
        race.iteration, race.rung = count_of(record, "iteration"), count_of(record, "rung")
        owed = record.get("owed")
        race.owed = None if owed is None else {str(name): float(value) for name, value in owed.items()}
        race.dropped = [{**one} for one in record["dropped"]]
        race.kept = {str(spec): Kept(**values) for spec, values in record["kept"].items()}
        return obs
