"""What runs in a worker: some of the environments, whoever acts in all of them, and the teacher that labels.

In: units of work. Out: shares of a rollout. Whoever acts is asked about all environments, of which those of other
workers show what one of our own does: so actions are drawn and rounded as they are where one process steps them all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from policy_distill.collection.collector import Collector, EpisodeSeed
from policy_distill.collection.labelling import label_each
from policy_distill.collection.workers.unit import Share, Stand, Unit, unpacked
from policy_distill.collection.workers.widened import Widened
from policy_distill.environments.part import MakeEnv, open_part
from policy_distill.environments.restarts import Restarts
from policy_distill.environments.watch import step_limit
from policy_distill.interfaces.policies import Actor, Labels, Teacher
from policy_distill.system.workers.pool import taken


@dataclass(frozen=True)
class Equipment:
    """What a worker has from its start."""

    make: MakeEnv
    """Makes environment i of all."""
    teacher: Teacher
    """Who labels."""
    taught: Callable[[Any], Any]
    """What the teacher sees of observations."""
    n_envs: int
    """`N`."""
    seed: int
    """Of the run."""
    seed_of: EpisodeSeed
    """See `Collector`."""
    env_timeout: float
    """Seconds that a step may take; 0 for any."""
    n_threads: int
    """Of torch: rounding may depend on it, so that all have as many as whoever asks."""
    first: int = 0
    """The first environment that is this worker's."""
    n_own: int = 0
    """`n`, how many are."""
    inherited: Collector | None = None
    """All environments as they stand, where the worker is a fork of the process that stepped them so far."""

    def service(self) -> Service:
        """Return what does the work, in the worker."""
        return Service(self)


class Service:
    """A worker's environments."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = own = equipment
        self._scope = ExitStack()
        torch.set_num_threads(own.n_threads)
        if own.n_threads == 1:
            self._scope.enter_context(threadpool_limits(1, "blas"))
        self._scope.enter_context(step_limit(own.env_timeout))
        self._teacher = own.teacher
        self._restarts = Restarts(0)
        inherited = own.inherited
        self._collector = self._opened() if inherited is None else self._part_of(inherited)
        self._collector.envs.faults.restarts = self._restarts

    def _opened(self) -> Collector:
        own = self._equipment
        envs = open_part(own.make, own.first, own.n_own, self._restarts)
        return Collector(envs, own.seed, partial(_later, own.seed_of, own.first))

    def _part_of(self, collector: Collector) -> Collector:
        own = self._equipment
        if own.n_own == own.n_envs:
            return collector
        envs: Any = collector.envs
        found = Collector(envs.part(own.first, own.n_own), own.seed, partial(_later, own.seed_of, own.first))
        Stand.of(collector, own.first, own.first + own.n_own).restored(found)
        found.begun = True
        return found

    def __call__(self, request: Stand | Unit) -> dict[int, str] | Share:
        """Take a stand, and return which environments could not be brought there, and why; or do a unit of work."""
        return self._stand(request) if isinstance(request, Stand) else self._work(request)

    def _stand(self, stand: Stand) -> dict[int, str]:
        obs = stand.restored(self._collector)
        return {self._equipment.first + index: why for index, why in self._collector.go_on(obs).items()}

    def _work(self, unit: Unit) -> Share:
        own, collector = self._equipment, self._collector
        if unit.calibration is not None and unit.calibration != self._teacher.calibration:
            self._teacher = own.teacher.with_calibration(unit.calibration)
        self._restarts.allowed, seconds = self._restarts.n + unit.restarts, collector.env_seconds
        n_restarts = self._restarts.n
        actor: Actor = unpacked(taken(unit.actor), self._teacher)
        if own.n_own < own.n_envs:
            actor = Widened(actor, own.n_envs, own.first)
        rollout = collector.collect(
            actor, unit.n_steps, unit.deterministic, unit.teacher_share, masked=unit.masked, columns=unit.columns
        )
        assert collector.log is not None, "environments that restart themselves are stepped here"
        labels = self._labels(rollout.obs, rollout.episode_starts, rollout.action_masks, unit)
        ages, seeds, actions = collector.log.newest(unit.n_steps)
        return Share(
            rollout=rollout.as_arrays(),
            params=None if labels is None else labels.params.cpu().numpy(),
            values=None if labels is None or labels.value is None else labels.value.numpy(),
            label_states=None if labels is None else labels.state,
            obs=collector.envs.obs,
            n_episodes=collector.n_episodes,
            running=collector.running,
            starts=collector.starts,
            ages=ages,
            seeds=seeds,
            actions=actions,
            ended=[(step, own.first + index, gained) for step, index, gained in collector.ended],
            actor_state=collector.actor_state,
            n_restarts=self._restarts.n - n_restarts,
            env_seconds=collector.env_seconds - seconds,
        )

    def _labels(self, obs: Any, starts: np.ndarray, masks: np.ndarray | None, unit: Unit) -> Labels | None:
        if not unit.labelled:
            return None
        teacher = self._teacher.with_values() if unit.valued else self._teacher
        return label_each(teacher, self._equipment.taught(obs), starts, unit.label_states, masks, valued=unit.valued)


def _later(seed_of: EpisodeSeed, first: int, seed: int, index: int, number: int) -> int:
    """Return the seed of an episode in environment `index` of those from `first` on."""
    return seed_of(seed, first + index, number)
