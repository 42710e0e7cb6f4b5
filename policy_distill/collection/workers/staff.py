"""Who steps the environments of a stream: a collector in this process, or workers that were taken on.

Workers are taken on by themselves where a core is idle, and what is left to collect takes longer than their start.
Nobody can see from a student which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from policy_distill.collection.collector import Collector
from policy_distill.collection.workers.service import Equipment
from policy_distill.collection.workers.sharded import Sharded
from policy_distill.collection.workers.unit import Labelling
from policy_distill.interfaces.policies import Actor
from policy_distill.interfaces.stepping import Source
from policy_distill.system.background import has_idle_core
from policy_distill.system.workers.cores import n_cores
from policy_distill.system.workers.forks import may_fork
from policy_distill.system.workers.local import LocalPool, can_fork
from policy_distill.system.workers.pool import Pool

WORTH_IT = 0.5
"""Seconds of collecting that a worker must take over at least: to fork one takes a tenth of that."""


SEEN = 2
"""Rollouts that have been collected for each that was learnt from, when workers are first thought of."""
MOST = 8
"""Workers that are taken on unasked at most."""
LONG = 0.002
"""Seconds from which a rollout was waited for."""


class Staff:
    """A source, which workers may take the place of between two rollouts."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._offer: Callable[[int], Sharded] | None = None

    def take_on(self, collector: Collector, equipment: Equipment, pool: Pool, n_workers: int) -> None:
        """Share the environments of the collector out to so many workers."""
        self.source = Sharded(collector, equipment, pool, n_workers)

    def take_on_where_it_pays(self, collector: Collector, equip: Callable[[], Equipment]) -> None:
        """Take workers on, of this machine, once it is known that it pays; `equip` says what they have then."""

        def offer(n_workers: int) -> Sharded:
            # A fork has the environments as they are now.
            return Sharded(collector, replace(equip(), inherited=collector), LocalPool(), n_workers, unasked=True)

        self._offer = offer

    @property
    def awaited(self) -> bool:
        """True where this process waited for workers: it has time to label what they collect, which changes nothing."""
        return isinstance(self.source, Sharded) and self.source.waited > LONG

    def tell(self, labelling: Labelling) -> None:
        """Say how workers are to label, before each rollout."""
        if isinstance(self.source, Sharded):
            self.source.labelling = labelling

    def ahead(
        self,
        labelling: Labelling,
        seconds_left: float,
        relief: float,
        actor: Actor,
        n_steps: int,
        deterministic: bool,
        teacher_share: float,
        *,
        masked: bool,
        columns: Sequence[str],
    ) -> None:
        """Let workers begin the rollout that the next `collect` of the source asks for, with the same arguments.

        `seconds_left` is how long all that is left would take as it is, `relief` how many times as long collecting
        takes as what this process does meanwhile: where that is done early, its core has time for another worker.
        """
        if self._offer and seconds_left > WORTH_IT and has_idle_core() and can_fork() and may_fork():
            self.source, self._offer = self._offer(max(1, min(int(relief / SEEN), n_cores(), MOST))), None
        if isinstance(self.source, Sharded):
            self.source.labelling = labelling
            self.source.ahead(actor, n_steps, deterministic, teacher_share, masked=masked, columns=columns)

    def dismiss(self) -> None:
        """Let workers go, where there are any: nothing more is to be collected."""
        if isinstance(self.source, Sharded):
            self.source.close()
