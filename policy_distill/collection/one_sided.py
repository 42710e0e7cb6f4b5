"""Who acts, and who labels, where teacher and student see one environment differently.

In: observations of both sides, as of `environments/two_sides`. Out: what an actor or a teacher says of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.collection.policy_defaults import with_masks
from policy_distill.environments.two_sides import TEACHER, side_of
from policy_distill.interfaces.policies import Actor, Labels, Teacher


class OneSided:
    """An actor who is given one side of what both see."""

    def __init__(self, actor: Actor, side: str) -> None:
        self._actor = actor
        self._side = side

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return the actor's actions for its side of observations `[N, ...]`."""
        own, told = side_of(observation, self._side), with_masks(action_masks)
        return self._actor.predict(own, state, episode_start, deterministic, **told)


class OneSidedTeacher:
    """A teacher who labels its side of what both see."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a rollout, as of the contract `Teacher`."""
        return self._teacher.label(side_of(obs, TEACHER), episode_starts, state, action_masks)
