"""What plays episodes in a worker: some of the environments side by side.

In: who plays, and which episodes. Out: the episodes of its environments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cloudpickle
import torch

from policy_distill.collection.workers.widened import WidenedPolicy
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.part import open_part
from policy_distill.environments.restarts import Restarts
from policy_distill.evaluation.side_by_side import Played, SideBySide
from policy_distill.system.threads import threads_for
from policy_distill.system.workers.pool import taken

MOST_OPEN = 4
"""Kinds of environments that a worker keeps open."""


@dataclass(frozen=True)
class Games:
    """Episodes that one worker is to play: a function of this alone."""

    kind: int
    """Tells what `make` is from what it was before."""
    make: Any
    """Makes environment i, as `Pool.share` has it."""
    policy: Any
    """Who plays, likewise."""
    n_envs: int
    """`N`, environments side by side, of all workers."""
    n_episodes: int
    """Of all workers."""
    seed: int
    """Of the first episode."""
    limit: int
    """Steps of an episode at most."""
    deterministic: bool
    """Handed to the policy."""
    restarts: int | None
    """Restarts that are left; None where nobody asked for any."""
    n_threads: int
    """Of torch, for a policy that is worth several."""
    first: int = 0
    """The worker's first environment."""
    n_own: int = 0
    """How many it has."""


def make_arcade() -> Arcade:
    """Return what plays, in a worker."""
    return Arcade()


class Arcade:
    """A worker's environments, by what makes them."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int, int], EnvironmentList] = {}

    def __call__(self, games: Games) -> Played:
        """Play."""
        torch.set_num_threads(games.n_threads)
        envs, policy = self._opened(games), cloudpickle.loads(taken(games.policy))
        envs.faults.restarts = None if games.restarts is None else Restarts(games.restarts)
        with threads_for(policy):
            if games.n_own < games.n_envs:
                policy = WidenedPolicy(policy, games.n_envs, games.first)
            part = games.first, games.n_envs
            running = SideBySide(policy, envs, games.n_episodes, games.seed, games.limit, part=part)
            return running.run(games.deterministic)

    def _opened(self, games: Games) -> EnvironmentList:
        key = games.kind, games.first, games.n_own
        if key not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            make = cloudpickle.loads(taken(games.make))
            self._open[key] = open_part(make, games.first, games.n_own, Restarts(0))
        return self._open[key]
