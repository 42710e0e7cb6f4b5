"""Any object with `predict` as a teacher (a script, another library's policy, a person's controller): hard labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces

from policy_distill.families.deterministic import Deterministic
from policy_distill.interfaces.policies import Labels
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.student.actions import ActionMap
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.nested import take
from policy_distill.teachers.base import BaseTeacher
from policy_distill.teachers.kinds.network import discrete_family
from policy_distill.teachers.observing import batch_major
from policy_distill.teachers.outside import scales_images, takes_masks, weights_of

CERTAIN = 8.0
"""Logit of the action that was chosen, against 0 for the others: 0.9997 to 0.0003 for a choice of two."""


class ScriptedTeacher(BaseTeacher):
    """Asks an object for its actions. One that keeps a state is asked step by step, others once for a rollout."""

    labels_apart = True

    samples = False
    acts_greedily = True

    def __init__(
        self, policy: Any, observation_space: Space[Any], action_space: Space[Any], wrappers: list[Any]
    ) -> None:
        self.policy = policy
        self.observation_space = observation_space
        self.action_space = action_space
        self.env_wrappers = wrappers
        self.takes_action_masks = takes_masks(policy)
        self.scales_images = scales_images(policy)
        self.family, self.action_map = _family(action_space)
        name = type(policy).__name__
        self.provenance: dict[str, Any] = {
            "algorithm": "predict",
            "policy_class": name,
            "source": None,
            "sha256": None,
            "normalized_observations": False,
            "env_wrappers": wrappers,
        }

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Return hard labels `[T, N, P]`; see `Teacher.label`."""
        n_steps, n_envs = episode_starts.shape
        masks = action_masks if self.takes_action_masks else None
        first, new_state = self.predict(take(obs, 0), state, episode_starts[0], True, take(masks, 0))
        if new_state is None:
            flat = None if masks is None else batch_major(masks)
            actions, _ = self.predict(batch_major(obs), None, np.zeros(n_steps * n_envs, bool), True, flat)
            chosen = actions.reshape(n_envs, n_steps, *actions.shape[1:]).swapaxes(0, 1)
        else:
            taken, state = [first], new_state
            for step in range(1, n_steps):
                stop_if_requested("while states were labelled")
                actions, state = self.predict(take(obs, step), state, episode_starts[step], True, take(masks, step))
                taken.append(actions)
            chosen = np.stack(taken)
        params = self._params(chosen.reshape(n_steps * n_envs, -1))
        return Labels(params.reshape(n_steps, n_envs, -1), state if new_state is not None else None)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return the object's actions; one that takes single observations is asked for each.

        `action_masks` `[B, A]` go to an object that takes them.
        """
        n_batch = _count(observation, self.observation_space)
        told = {"action_masks": action_masks} if self.takes_action_masks else {}
        if n_batch is None:
            actions, state = self.policy.predict(observation, state, episode_start, deterministic, **told)
            return np.asarray(actions, dtype=self.action_space.dtype), state
        try:
            actions, state = self.policy.predict(observation, state, episode_start, deterministic, **told)
            if np.shape(actions)[:1] == (n_batch,):
                return np.asarray(actions, dtype=self.action_space.dtype), state
        except (ValueError, TypeError, IndexError):
            # Not made for batches; one that fails on single observations too fails below.
            pass
        singles = []
        for row in range(n_batch):
            stop_if_requested("while states were labelled")
            told = {"action_masks": take(action_masks, row)} if self.takes_action_masks else {}
            singles.append(self.policy.predict(take(observation, row), None, None, deterministic, **told)[0])
        return np.asarray(singles, dtype=self.action_space.dtype), None

    def weights(self) -> Mapping[str, torch.Tensor] | None:
        """Return the object's weights, where it is a network."""
        return weights_of(self.policy)

    def _params(self, actions: np.ndarray) -> torch.Tensor:
        """Return parameters `[B, P]` for executed actions `[B, A]`."""
        head = self.family.head
        if not head.is_discrete:
            return torch.from_numpy(_scaled(actions, self.action_map))
        indices = torch.from_numpy(actions.astype(np.int64) - np.asarray(self.action_map.start))
        if head.kind == "threshold":
            return (2.0 * indices.float() - 1.0) * CERTAIN
        columns = zip(indices.unbind(dim=1), head.sizes, strict=True)
        parts = [torch.nn.functional.one_hot(column, size) for column, size in columns]
        return torch.cat(parts, dim=1).float() * CERTAIN


def _family(space: Space[Any]) -> tuple[ActionDistribution, ActionMap]:
    found = discrete_family(space)
    if found is not None:
        return found
    assert isinstance(space, spaces.Box)
    bounded = bool(np.isfinite(space.low).all() and np.isfinite(space.high).all())
    action_map = ActionMap("unsquash" if bounded else "none", space.shape, str(space.dtype), space.low, space.high)
    return Deterministic(int(np.prod(space.shape))), action_map


def _scaled(actions: np.ndarray, action_map: ActionMap) -> np.ndarray:
    """Return actions on the scale of the family: [-1, 1] where they are bounded."""
    if action_map.kind != "unsquash":
        return actions.astype(np.float32)
    assert action_map.low is not None and action_map.high is not None
    low, high = action_map.low.ravel(), action_map.high.ravel()
    return (2.0 * (actions - low) / (high - low) - 1.0).astype(np.float32)


def _count(obs: Any, space: Space[Any]) -> int | None:
    """Return the size of a batch of observations; None for a single one."""
    if isinstance(space, spaces.Dict):
        key, sub = next(iter(space.spaces.items()))
        return _count(obs[key], sub)
    return None if np.shape(obs) == space.shape else len(obs)
