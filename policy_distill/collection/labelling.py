"""Labels of a rollout, of each environment's steps by themselves: whoever labels some of them says the same of these.

In: a teacher and a rollout's columns. Out: parameters, values and what the teacher carries, environment by environment.
A batch of all environments would be rounded by how many they are, and workers that have some of them would say else.
A teacher of somebody else's that remembers nothing is asked about a whole rollout at once, as its contract says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from policy_distill.collection.actors import check_labels, check_values
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.system.nested import map_arrays, take


def label_each(
    teacher: Teacher,
    obs: Any,
    episode_starts: np.ndarray,
    states: Sequence[Any] | None,
    masks: np.ndarray | None,
    *,
    valued: bool,
) -> Labels:
    """Return what a teacher says of observations `[T, N, ...]`, with values where it is `valued`.

    `states` are those after the steps before, and so is the `state` that is returned: a list of `N`, or None of a
    teacher without a memory.

    Raises:
        RequestError: where values are asked for that the labels of a teacher of one's own do not have.
        RunFault: where what it says is not finite.
    """
    if states is None and not teacher.labels_apart:
        whole = teacher.label(obs, episode_starts, None, masks)
        if whole.state is None:
            check_labels(whole.params)
            return Labels(whole.params, None, check_values(whole.value, episode_starts.shape) if valued else None)
    n_envs = episode_starts.shape[1]
    before = [None] * n_envs if states is None else states
    found, values = [], []
    for index in range(n_envs):
        one = slice(index, index + 1)
        told = None if masks is None else masks[:, one]
        params, state, value = teacher.label(take(obs, (slice(None), one)), episode_starts[:, one], before[index], told)
        check_labels(params)
        found.append((params, state))
        if valued:
            values.append(check_values(value, episode_starts[:, one].shape))
    after = [state for _, state in found]
    return Labels(
        torch.cat([params for params, _ in found], dim=1),
        None if all(state is None for state in after) else after,
        torch.cat(values, dim=1) if valued else None,
    )


def split_state(state: Any, n_envs: int) -> list[Any]:
    """Return the states `[N]` of each environment, of one that a teacher carried for all; None stays None.

    Arrays of three dimensions have environments second, as those of LSTMs do, all others first; what has none is
    everybody's.
    """
    return [_of(state, index, n_envs) for index in range(n_envs)]


def _of(state: Any, index: int, n_envs: int) -> Any:
    if isinstance(state, list | tuple):
        return type(state)(_of(part, index, n_envs) for part in state)
    if isinstance(state, dict):
        return {key: _of(part, index, n_envs) for key, part in state.items()}
    if not isinstance(state, torch.Tensor | np.ndarray):
        return state
    axis = axis_of(state, n_envs)
    if axis is None:
        return state
    return map_arrays(lambda array: array[(slice(None),) * axis + (slice(index, index + 1),)], state)


def axis_of(array: Any, n_envs: int) -> int | None:
    """Return which axis of a state's array tells `N` environments apart; None where none does."""
    axis = 1 if array.ndim == 3 else 0
    return axis if array.ndim > axis and array.shape[axis] == n_envs else None
