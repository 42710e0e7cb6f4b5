"""Shares of a rollout, joined: what workers made of one unit, as if one process had stepped all environments.

In: shares in the order of their environments. Out: the rollout, and where its collector stands after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from policy_distill.collection.collector import Collector
from policy_distill.collection.labelling import axis_of
from policy_distill.collection.rollout import Rollout
from policy_distill.collection.workers.unit import Share
from policy_distill.errors import RunFault
from policy_distill.interfaces.policies import Labels
from policy_distill.system.nested import put


def join_rollouts(shares: Sequence[Share]) -> Rollout:
    """Return the rollout of all environments; of one share alone, without a copy."""
    parts = [share.rollout for share in shares]
    return Rollout(
        join_arrays([part.obs for part in parts]),
        join_arrays([part.episode_starts for part in parts]),
        join_arrays([part.action_masks for part in parts]),
        parts[0].teacher_share,
        join_arrays([dict(part.columns) for part in parts]),
        _labels(shares),
    )


def _labels(shares: Sequence[Share]) -> Labels | None:
    if shares[0].params is None:
        return None
    values = join_arrays([share.values for share in shares])
    states = [state for share in shares for state in share.label_states or ()]
    params = torch.from_numpy(join_arrays([share.params for share in shares]))
    return Labels(params, states or None, None if values is None else torch.from_numpy(values))


def join_arrays(parts: Sequence[Any], axis: int = 1) -> Any:
    """Return values of one structure, whose arrays tell environments apart by an axis, as those of all."""
    if len(parts) == 1 or parts[0] is None:
        return parts[0]
    if isinstance(parts[0], dict):
        return {key: join_arrays([part[key] for part in parts], axis) for key in parts[0]}
    return np.concatenate(parts, axis=axis)


def move_on(collector: Collector, shares: Sequence[Share]) -> None:
    """Bring a collector, apart from its environments themselves, to where they stand after the shares."""

    def of_all(name: str) -> Any:
        return join_arrays([getattr(share, name) for share in shares], axis=0)

    put(collector.envs.obs, ..., of_all("obs"))
    collector.n_episodes, collector.running, collector.starts = (
        of_all("n_episodes"),
        of_all("running"),
        of_all("starts"),
    )
    collector.ended = sorted(one for share in shares for one in share.ended)
    collector.returns.extend(gained for *_, gained in collector.ended)
    collector.env_seconds += sum(share.env_seconds for share in shares)
    bounds = np.cumsum([0, *(len(share.starts) for share in shares)]).tolist()
    collector.actor_state = join_states([share.actor_state for share in shares], bounds)
    assert collector.log is not None, "environments that restart themselves are stepped here"
    _count_restarts(collector, sum(share.n_restarts for share in shares))
    collector.log.extend(of_all("ages"), of_all("seeds"), join_arrays([share.actions for share in shares]))
    collector.begun = True


def _count_restarts(collector: Collector, n: int) -> None:
    restarts = collector.envs.faults.restarts
    if not n or restarts is None:
        return
    restarts.go_on(restarts.n_here + n)
    if restarts.n > restarts.allowed:
        raise RunFault(
            f"{collector.envs.env_id} failed: workers restarted environments {restarts.n} times in all, and "
            f"{restarts.allowed} are allowed; fix the environment, or allow more with --env-restarts"
        )


def join_states(states: Sequence[Any], bounds: Sequence[int]) -> Any:
    """Return the state of who acts in all environments, of which part i knows those from `bounds[i]` on.

    What tells no environments apart is the first one's; see `labelling.split_state`.
    """
    first = states[0]
    if len(states) == 1:
        return first
    if isinstance(first, list | tuple):
        return type(first)(join_states(parts, bounds) for parts in zip(*states, strict=True))
    if isinstance(first, dict):
        return {key: join_states([state[key] for state in states], bounds) for key in first}
    if not isinstance(first, torch.Tensor | np.ndarray) or (axis := axis_of(first, bounds[-1])) is None:
        return first
    before = (slice(None),) * axis
    own = [state[(*before, slice(*ends))] for state, ends in zip(states, pairwise(bounds), strict=True)]
    return torch.cat(own, dim=axis) if isinstance(first, torch.Tensor) else np.concatenate(own, axis=axis)
