"""A race with what keeps it: its folder and its checkpoints.

In: a race. Out: the same, with all data collected; it stops and goes on anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from policy_distill.compression.members import Gone
from policy_distill.compression.race import Race
from policy_distill.compression.standings import standings
from policy_distill.compression.state import RaceState
from policy_distill.evaluation.on_workers import played_by
from policy_distill.evaluation.reference import ReferenceRuns
from policy_distill.run.checkpoints.checkpoint import Keeper
from policy_distill.run.place import Place
from policy_distill.run.proof import start_reference
from policy_distill.run.provenance import RunIdentity, request_of
from policy_distill.run.standpoint import Standpoint, kept_where_stopped
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.system.workers.settings import WorkerSettings
from policy_distill.tracking.fan_out import FanOut


class Work:
    """A compression under way."""

    def __init__(
        self,
        race: Race,
        env: Any,
        identity: RunIdentity,
        place: Place,
        interrupts: Interrupts,
        scope: ExitStack,
        say: Callable[[str], None],
    ) -> None:
        """Take up the folder, held within `scope`."""
        self.race, self.env, self.identity, self.interrupts, self.say = race, env, identity, interrupts, say
        self.folder = place.open(request_of(race.stream.teacher), scope)
        checkpoints = self.folder.checkpoints if self.folder else None
        self.keeper = Keeper(checkpoints, RaceState(race), identity.to_json(), interrupts=interrupts)
        self.reference: ReferenceRuns | None = None

    def begin(self, scope: ExitStack, *, resume: bool, workers: int | WorkerSettings = 0) -> None:
        """Bring a race that is to `resume` back to where it was, and start within `scope` what it is judged against.

        Within `scope`, `workers` play the episodes.
        """
        self.keeper.begin(resume=resume)
        scope.enter_context(played_by(workers))
        stream, margin = self.race.stream, 1 - self.race.bar
        self.reference = scope.enter_context(start_reference(stream, self.env, margin=margin, sampled=False))

    @property
    def resumed_at(self) -> int:
        """The step after which metrics are logged: one that a stopped race owes is logged again."""
        return self.race.stream.env_steps - bool(self.race.owed)

    def iterate(self, tracker: FanOut, bar: Progress) -> None:
        """Run iterations until all data is collected."""
        race, stream = self.race, self.race.stream
        kept = partial(kept_where_stopped, self.keeper, tracker, self.interrupts)
        while not stream.done or race.owed:
            # A race that was stopped while students were judged owes that judgement, and begins with it.
            if not race.owed:
                with kept(Standpoint(stream)):
                    rollout = race.collect()
                    teacher_params = stream.label(rollout)
                metrics = race.learn(rollout, teacher_params)
                race.owed = metrics if race.at_rung else None
            if race.owed:
                n_before, metrics = len(race.dropped), race.owed
                with kept():
                    race.drop()
                self._say_dropped(race.dropped[n_before:])
                race.owed = None
            tracker.log(metrics, stream.env_steps)
            bar.update(stream.env_steps, metrics)
            bar.draw(partial(standings, race))
            if self.keeper.due(stopping=self.interrupts.requested):
                tracker.sync()
                self.keeper.save()
            self.interrupts.stop_if_requested(f"at {stream.env_steps} of {stream.config.timesteps} steps")

    def _say_dropped(self, gone: list[Gone]) -> None:
        if gone:
            specs = ", ".join(one.spec for one in gone)
            self.say(f"{gone[0].env_steps:,} steps: {specs} out, since {gone[0].why}")
