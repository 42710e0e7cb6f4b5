"""All that the rest of a run of several tasks depends on, as arrays and JSON values, and back.

In: a team with its selection. Out: the same, in a team that was just opened.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.run.checkpoints.stream_state import Saved, StreamRecord, restore_stream, stream_state
from policy_distill.run.stream import Stream
from policy_distill.run.tasks.team import Team
from policy_distill.run.tasks.team_selection import JudgedTeam, TeamSelection
from policy_distill.system.records import COUNT, MEASURED, Each, load, part
from policy_distill.training.learner import named

LOG = logging.getLogger("policy_distill")


@dataclass(frozen=True)
class TeamRecord(StreamRecord):
    """What a checkpoint says of a team, beside arrays; its own fields of a stream are those of the first task's."""

    iteration: int = part(COUNT, needed=True)
    owed: Mapping[str, float] | None = part(Each(MEASURED))
    best_env_steps: int | None = part(COUNT)
    """When the best student was judged; None where there is none yet."""
    recoveries: int = part(COUNT, needed=True)
    streams: Mapping[str, StreamRecord] = part(Each(StreamRecord), needed=True)
    """By the names of the tasks."""


class TeamState:
    """A team with its selection, as checkpoints see it."""

    def __init__(self, team: Team, selection: TeamSelection) -> None:
        self._team, self._selection = team, selection

    @property
    def stream(self) -> Stream:
        """The first task's: all are at the same step."""
        return self._team.streams[0]

    @property
    def begun(self) -> bool:
        """True once there is a student to keep."""
        return self._team.begun

    def state(self) -> Saved:
        """Return all that the rest of a run depends on: arrays, and a `TeamRecord`."""
        team, selection, best = self._team, self._selection, self._selection.best
        parts = {name: stream_state(task.stream) for name, task in team.tasks.items()}
        # By number: names of tasks may hold what names of arrays are divided by.
        tensors = {
            f"task{number}.{key}": array
            for number, (arrays, _) in enumerate(parts.values())
            for key, array in arrays.items()
        }
        tensors |= {f"shared.{key}": array for key, array in team.trainer.state().items()}
        if selection.line is not None:
            tensors["selection.line"] = selection.line
        if best is not None:
            tensors |= {"best.weights": best.weights, "best.returns": best.returns}
        records = {name: record for name, (_, record) in parts.items()}
        first = next(iter(records.values()))
        lost = "; ".join(f"{name}: {one.begins_anew}" for name, one in records.items() if one.begins_anew)
        return tensors, TeamRecord(
            **{**vars(first), "begins_anew": lost},
            iteration=team.iteration,
            owed=selection.owed,
            best_env_steps=best.env_steps if best else None,
            recoveries=team.trainer.recovery.n,
            streams=records,
        )

    def restore(self, tensors: dict[str, np.ndarray], record: Mapping[str, Any]) -> Any:
        """Take what `state` returned; return the observations that the first task's environments are to go back to.

        Raises:
            ValueError: where that is of another run.
        """
        team, saved = self._team, load(TeamRecord, record, "checkpoint")
        if list(saved.streams) != list(team.tasks):
            raise ValueError("its tasks are others")
        found = [
            restore_stream(task.stream, named(tensors, f"task{number}."), saved.streams[name])
            for number, (name, task) in enumerate(team.tasks.items())
        ]
        team.create()
        team.trainer.restore(named(tensors, "shared."))
        team.trainer.recovery.n = saved.recoveries
        team.iteration = saved.iteration
        for task in team.tasks.values():
            task.session.iteration = saved.iteration
        self._restore_selection(tensors, saved)
        for stream, obs in zip(team.streams[1:], found[1:], strict=True):
            if failed := stream.source.go_on(obs, None):
                LOG.warning(
                    "%s: %d environments start a new episode: the run differs from here",
                    stream.envs.env_id,
                    len(failed),
                )
        return found[0]

    def _restore_selection(self, tensors: dict[str, np.ndarray], saved: TeamRecord) -> None:
        team, selection = self._team, self._selection
        selection.owed = None if saved.owed is None else dict(saved.owed)
        selection.line, selection.best = None, None
        if "selection.line" in tensors:
            selection.line = np.array(tensors["selection.line"])
            if selection.line.shape != (len(team.tasks), 2):
                raise ValueError("its tasks are others")
        if saved.best_env_steps is not None:
            weights, returns = np.array(tensors["best.weights"]), np.array(tensors["best.returns"])
            if weights.shape != team.trainer.weights().shape or len(returns) != len(team.tasks):
                raise ValueError("its best student is another one")
            selection.best = JudgedTeam(saved.best_env_steps, weights, returns)
