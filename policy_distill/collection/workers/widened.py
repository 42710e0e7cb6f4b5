"""Whoever acts in all environments, where a worker has some of them.

In: observations of the worker's own. Out: their actions, drawn and rounded as they are where all are asked about at
once: those of others show what one of our own does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.collection.policy_defaults import with_masks
from policy_distill.interfaces.policies import Actor, Policy
from policy_distill.system.nested import put, room_for, take


class Widened:
    """Whoever acts in all `N` environments, asked about `n` of them from number `first` on."""

    def __init__(self, actor: Actor, n_envs: int, first: int) -> None:
        self._actor, self._n_envs, self._first = actor, n_envs, first
        self._obs: Any = None
        self._starts = np.ones(n_envs, dtype=bool)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return the actions `[n, ...]`; the state is that of all environments."""
        assert episode_start is not None
        own = slice(self._first, self._first + len(episode_start))
        if self._obs is None:
            # Something that is an observation, in the place of others.
            self._obs = room_for(take(observation, 0), self._n_envs)
            put(self._obs, slice(None), take(observation, slice(0, 1)))
        put(self._obs, own, observation)
        self._starts[own] = episode_start
        masks = None
        if action_masks is not None:
            masks = np.ones((self._n_envs, *action_masks.shape[1:]), dtype=bool)
            masks[own] = action_masks
        actions, state = self._actor.predict(self._obs, state, self._starts, deterministic, **with_masks(masks))
        return actions[own], state


class WidenedPolicy(Widened):
    """A policy that is evaluated so."""

    def __init__(self, policy: Policy, n_envs: int, first: int) -> None:
        super().__init__(policy, n_envs, first)
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        """Be what the policy is in all else."""
        return getattr(self.__dict__["_policy"], name)

    def again(self, index: int) -> None:
        """Draw again what was drawn in the running episode of environment `index` of these."""
        self._policy.again(self._first + index)
