"""Whole episodes of a student as numbers: what it saw, and what it did then.

In: environments and whoever acts. Out: episodes, the same number of each environment, so that short ones are not
favoured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.collection.collector import Collector
from policy_distill.interfaces.policies import Actor
from policy_distill.interfaces.stepping import Environments
from policy_distill.seeds import measured_seed, purpose_seed
from policy_distill.student.onboard.monitor import numbers_of
from policy_distill.student.plan import Plan
from policy_distill.system.nested import merged

CHUNK = 128
"""Steps of each environment between two looks at how many episodes there are."""
MOST_STEPS = 4_000_000
"""Steps of all environments together, at most; what has not ended by then is cut there."""


@dataclass(frozen=True)
class Steps:
    """One episode."""

    obs: np.ndarray
    """float64 `[T, D]`, as of `monitor.numbers_of`."""
    actions: np.ndarray
    """float32 `[T, A]`, as of `Plan.taken`."""


def play_episodes(
    envs: Environments,
    actor: Actor,
    plan: Plan,
    n_episodes: int,
    seed: int,
    *,
    seen: Callable[[Any], Any],
    masked: bool = False,
) -> list[Steps]:
    """Return at least `n_episodes` episodes that `actor` plays by its mode, of `plan`'s observations and actions.

    Their seeds are among those that students are measured on, and no student is trained or chosen on them. `seen` is
    what the student takes of the environments' observations.

    Raises:
        RunFault: where an environment fails.
    """
    collector = Collector(envs, purpose_seed(seed, "monitor"), measured_seed)
    quota, most = -(-n_episodes // envs.n_envs), MOST_STEPS // envs.n_envs
    pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    n_steps, begun = 0, np.zeros(envs.n_envs, np.int64)
    while n_steps < most and begun.min() <= quota:
        rollout = collector.collect(actor, CHUNK, True, 0.0, masked=masked, columns=("actions",))
        shape = rollout.episode_starts.shape
        obs = numbers_of(plan.featurizer, seen(rollout.flat_obs)).reshape(*shape, -1)
        actions = plan.taken(merged(rollout.columns["actions"])).reshape(*shape, -1)
        pieces.append((obs, actions, rollout.episode_starts))
        n_steps, begun = n_steps + CHUNK, begun + rollout.episode_starts.sum(axis=0)
    whole = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    return [episode for env in range(envs.n_envs) for episode in _cut(*(array[:, env] for array in whole))[:quota]]


def _cut(obs: np.ndarray, actions: np.ndarray, starts: np.ndarray) -> list[Steps]:
    """Return the episodes of one environment, the last one as far as it came."""
    places = np.flatnonzero(starts)[1:]
    pairs = zip(np.split(obs, places), np.split(actions, places), strict=True)
    return [Steps(*pair) for pair in pairs]
