"""Episodes that workers play, where they are asked to: each those of some of the environments side by side.

In: a policy, environments, and which episodes. Out: what this process would have found alone, bit for bit: which
environment plays which episode is fixed beforehand, and whoever acts is asked about all of them at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from policy_distill.environments.listed import EnvironmentList
from policy_distill.evaluation.games import Games, make_arcade
from policy_distill.evaluation.side_by_side import OnStep, Played
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stepping import Environments
from policy_distill.system.workers.crew import Crew
from policy_distill.system.workers.pool import Pool, to_send
from policy_distill.system.workers.settings import WorkerSettings


class Players:
    """The workers, and what they were told."""

    def __init__(self, pool: Pool, n_workers: int) -> None:
        self._pool, self._pid = pool, os.getpid()
        self._crew = Crew(pool, [make_arcade] * n_workers, lambda number: None)
        self._n_workers = n_workers
        self._kinds: list[tuple[Environments, Any]] = []
        """Environments that were played in, which stay so that none is taken for another, and what makes them."""

    def can_play(self, envs: Environments) -> bool:
        """Say whether environments can be made elsewhere, and this process is the one that workers answer."""
        made = isinstance(envs, EnvironmentList) and envs.make is not None and envs.owned
        return made and os.getpid() == self._pid

    def play(
        self,
        policy: Policy,
        envs: Environments,
        n_episodes: int,
        seed: int,
        limit: int,
        deterministic: bool,
        on_episode: OnStep | None = None,
    ) -> Played:
        """Play; see `SideBySide`. Episodes are told as workers are done with theirs."""
        restarts, n_envs = envs.faults.restarts, envs.n_envs
        number, make = self._kind(envs)
        games = Games(
            number,
            make,
            self._pool.share(to_send(policy)),
            n_envs,
            n_episodes,
            seed,
            limit,
            deterministic,
            None if restarts is None else restarts.allowed - restarts.n,
            torch.get_num_threads(),
        )
        # More workers than environments have none.
        bounds = np.linspace(0, n_envs, self._n_workers + 1).astype(int).tolist()
        busy = [(first, end) for first, end in pairwise(bounds) if end > first]
        self._crew.ask([replace(games, first=first, n_own=end - first) for first, end in busy])
        found: dict[int, Played] = {}
        for number, played in self._crew.answers(lambda answer: True):
            found[number] = played
            if on_episode:
                on_episode(sum(len(one.episodes) for one in found.values()))
        if restarts is not None:
            restarts.go_on(restarts.n_here + sum(one.n_restarts for one in found.values()))
        return _joined([found[number] for number in sorted(found)], n_episodes)

    def close(self) -> None:
        """Let the workers go."""
        self._crew.close()

    def _kind(self, envs: Any) -> tuple[int, Any]:
        for number, (known, make) in enumerate(self._kinds):
            if known is envs:
                return number, make
        self._kinds.append((envs, self._pool.share(to_send(envs.make))))
        return len(self._kinds) - 1, self._kinds[-1][1]


def _joined(parts: Sequence[Played], n_episodes: int) -> Played:
    """Return what all have played, in the order of the episodes."""
    order = np.argsort(np.concatenate([part.episodes for part in parts]))

    def of_all(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    assert len(order) == n_episodes, "each episode is one environment's"
    return Played(
        of_all("episodes"),
        of_all("returns"),
        of_all("lengths"),
        of_all("phases"),
        all(part.paired for part in parts),
        sum(part.n_cut for part in parts),
        sum(part.n_restarts for part in parts),
    )


_ACTIVE: list[Players] = []
"""Who plays the episodes of this process, the innermost last."""


def players_for(envs: Environments) -> Players | None:
    """Return who plays episodes in these environments; None where this process does."""
    return _ACTIVE[-1] if _ACTIVE and _ACTIVE[-1].can_play(envs) else None


def on_workers() -> bool:
    """Say whether workers play the episodes of this process."""
    return bool(_ACTIVE)


@contextmanager
def played_by(workers: int | str | WorkerSettings) -> Iterator[None]:
    """Within, let so many workers play the episodes of evaluations, where environments can be made in them.

    None of them for 0 and `auto`.

    Raises:
        RequestError: for workers that there cannot be.
    """
    settings = WorkerSettings.of(workers)
    if settings.workers in (0, "auto"):
        yield
        return
    with closing(settings.pool()) as pool, played_on(pool, settings):
        yield


@contextmanager
def played_on(pool: Pool | None, settings: WorkerSettings) -> Iterator[None]:
    """Do so on a pool that is there; on None, this process plays."""
    if pool is None:
        yield
        return
    assert settings.workers != "auto", "there is a pool where a number was asked for"
    players = Players(pool, settings.workers)
    _ACTIVE.append(players)
    try:
        yield
    finally:
        _ACTIVE.remove(players)
        players.close()
