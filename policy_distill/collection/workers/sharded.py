"""Rollouts that workers collect: each steps some of the environments, and all together are one `Source`.

In: a collector, which knows where episodes stand, and a pool. Out: rollouts that are the same bit for bit as those of
the collector alone, whatever the number of workers and whichever of them die. One rollout at most is on its way while
another one is learnt from, so that what waits here is bounded.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from policy_distill.collection.collector import Collector
from policy_distill.collection.rollout import Rollout
from policy_distill.collection.workers.joined import join_rollouts, move_on
from policy_distill.collection.workers.service import Equipment
from policy_distill.collection.workers.unit import Labelling, Share, Stand, Unit, packed
from policy_distill.errors import one_line
from policy_distill.interfaces.policies import Actor
from policy_distill.system.nested import put
from policy_distill.system.workers.crew import Crew, Unmanned
from policy_distill.system.workers.pool import Pool

LOG = logging.getLogger("policy_distill")


class Sharded:
    """Environments that are stepped by workers."""

    def __init__(
        self, collector: Collector, equipment: Equipment, pool: Pool, n_workers: int, *, unasked: bool = False
    ) -> None:
        """Share `collector`'s environments out to so many workers.

        `equipment` is what all of them have; which environments are whose follows from their number. Where they are
        `unasked` for, and lost again and again, the collector goes on alone.
        """
        self.collector = collector
        self.labelling: Labelling | None = None
        """Set before each rollout."""
        self.waited = 0.0
        """Seconds that the newest rollout was waited for."""
        self._pool, self._unasked = pool, unasked
        bounds = np.linspace(0, equipment.n_envs, min(n_workers, equipment.n_envs) + 1).astype(int).tolist()
        self._spans = list(pairwise(bounds))
        parts = [replace(equipment, first=first, n_own=end - first) for first, end in self._spans]
        self._services = [part.service for part in parts]
        anew = [replace(part, inherited=None) for part in parts]
        self._later = self._services if equipment.inherited is None else [part.service for part in anew]
        """Those of workers that take the place of others: they bring their environments to where they stand."""
        self._crew: Crew | None = Crew(pool, self._services, self._stand)
        """None once they were let go."""
        self._given: tuple[Any, ...] | None = None
        """How the unit was asked for that is on its way."""

    @property
    def env_seconds(self) -> float:
        """Time spent in the environments themselves, of all workers."""
        return self.collector.env_seconds

    @env_seconds.setter
    def env_seconds(self, seconds: float) -> None:
        self.collector.env_seconds = seconds

    @property
    def returns(self) -> Sequence[float]:
        """Returns of the last episodes that ended, the newest last."""
        return self.collector.returns

    def begin(self) -> None:
        """Do nothing: workers begin with their first rollout."""

    def ahead(
        self,
        actor: Actor,
        n_steps: int,
        deterministic: bool,
        teacher_share: float,
        *,
        masked: bool = False,
        columns: Sequence[str] = (),
    ) -> None:
        """Let workers begin the rollout that the next `collect` asks for, which has the same arguments."""
        if self._crew is None:
            return
        assert self.labelling is not None, "set before each rollout"
        how, restarts = self.labelling, self.collector.envs.faults.restarts
        unit = Unit(
            self._pool.share(packed(actor, how.teacher)),
            n_steps,
            deterministic,
            teacher_share,
            masked,
            tuple(columns),
            how.labelled,
            how.valued,
            how.teacher.calibration,
            how.states,
            restarts.allowed - restarts.n if restarts else 0,
        )
        of_each = [None if how.states is None else how.states[first:end] for first, end in self._spans]
        try:
            self._crew.ask([replace(unit, label_states=states) for states in of_each])
            self._given = n_steps, deterministic, teacher_share, masked, tuple(columns)
        except (Unmanned, OSError) as error:
            self._alone(error)

    def collect(
        self,
        actor: Actor,
        n_steps: int,
        deterministic: bool,
        teacher_share: float,
        *,
        masked: bool = False,
        columns: Sequence[str] = (),
    ) -> Rollout:
        """Return the rollout of all workers; see `Source.collect`."""
        asked = n_steps, deterministic, teacher_share, masked, tuple(columns)
        assert self._given in (None, asked), "another rollout is on its way"
        if not self._given:
            self.ahead(actor, n_steps, deterministic, teacher_share, masked=masked, columns=columns)
        began = time.perf_counter()
        shares = self._gathered() if self._given else []
        self._given, self.waited = None, time.perf_counter() - began
        if not shares:
            return self.collector.collect(actor, n_steps, deterministic, teacher_share, masked=masked, columns=columns)
        move_on(self.collector, shares)
        return join_rollouts(shares)

    def _stand(self, number: int) -> Stand | None:
        """Return where the environments of a new worker stand; None where none has begun, or it has inherited them."""
        inherits = self._services[number] is not self._later[number]
        self._services[number] = self._later[number]
        if inherits or not self.collector.begun:
            return None
        return Stand.of(self.collector, *self._spans[number])

    def _gathered(self) -> list[Share]:
        """Wait for the shares of all workers, in the order of their environments; none where they were let go."""
        assert self._crew is not None, "they were asked"
        found: dict[int, Share] = {}
        try:
            for number, answer in self._crew.answers(lambda one: isinstance(one, Share)):
                if isinstance(answer, Share):
                    found[number] = answer
                else:
                    self._say(answer)
        except Unmanned as error:
            self._alone(error)
            return []
        return [found[number] for number in range(len(self._spans))]

    def _alone(self, error: Exception) -> None:
        """Go on without workers where nobody asked for them.

        Raises:
            Unmanned, OSError: where somebody did.
        """
        if not self._unasked:
            raise error
        LOG.warning("%s; this process steps all environments itself", one_line(str(error)))
        self.close()
        self._say(self.collector.go_on(copy.deepcopy(self.collector.envs.obs)))

    def _say(self, failed: Mapping[int, str]) -> None:
        if failed:
            LOG.warning(
                "%d of %d environments could not be brought back to where they were, and start a new episode (%s); "
                "from here on the run differs from one without workers",
                len(failed),
                self.collector.envs.n_envs,
                "; ".join(sorted(set(failed.values()))[:3]),
            )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what the next rollout depends on, the one on its way included; see `Source.state`."""
        return self.collector.state()

    def restore(self, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> Any:
        """Take what `state` returned; see `Source.restore`."""
        return self.collector.restore(arrays, record)

    def go_on(self, obs: Any, on_step: Callable[[], None] | None = None) -> dict[int, str]:
        """Note where the environments stand: workers bring them there, and say what they cannot."""
        put(self.collector.envs.obs, ..., obs)
        self.collector.begun = True
        return {}

    def lost(self) -> dict[int, str]:
        """Return, for each environment whose running episode is known to end with this process, why."""
        return self.collector.lost()

    def mark(self) -> Any:
        """Return where it stands between two rollouts, for `go_back`."""
        return self.collector.mark()

    def go_back(self, mark: Any) -> None:
        """Forget the rollout since a mark; see `Source.go_back`."""
        self.collector.go_back(mark)

    def close(self) -> None:
        """Let all workers go; the environments stay with the collector, and the pool with whoever made it."""
        if self._crew is not None:
            self._crew.close()
        self._crew, self._given = None, None
