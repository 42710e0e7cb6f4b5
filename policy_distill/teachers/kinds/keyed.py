"""A teacher that was trained without the key of a Dict observation by which experts are dispatched.

In: raw observations with the key. Out: what the teacher says of them without it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.teachers.base import BaseTeacher, Exploration

REST = "observation"
"""The key of what a teacher sees that was trained on no Dict, as Gymnasium's goal environments call it."""


class KeyedTeacher(BaseTeacher):
    """Another teacher, in an environment that shows one key more than it knows."""

    def __init__(self, teacher: Teacher, key: str, n_teachers: int) -> None:
        """Take a teacher; `key` holds which of `n_teachers` labels, as a Discrete space.

        Raises:
            RequestError: where the teacher was trained on that key itself.
        """
        known: Any = teacher.observation_space
        self._alone = not isinstance(known, spaces.Dict)
        own: Mapping[str, Any] = {REST: known} if self._alone else known.spaces
        if key in own:
            raise RequestError(
                f"expected the key {key!r} to be one that no teacher was trained on, found it among {', '.join(own)}; "
                "dispatch by a function of observations: --combine dispatch:MODULE:FUNCTION"
            )
        self.teacher, self.key = teacher, key
        self._names = tuple(own)
        self.observation_space = spaces.Dict({key: spaces.Discrete(n_teachers), **own})
        self.action_space, self.family, self.action_map = teacher.action_space, teacher.family, teacher.action_map
        statistics: Any = teacher.normalizer
        self.normalizer = {REST: statistics} if self._alone and statistics is not None else statistics
        self.state_dependent_std, self.scales_images = teacher.state_dependent_std, teacher.scales_images
        self.samples, self.acts_greedily = teacher.samples, teacher.acts_greedily
        self.takes_action_masks, self.labels_apart = teacher.takes_action_masks, teacher.labels_apart
        self.n_params, self.n_bytes = teacher.n_params, teacher.n_bytes
        self.env_wrappers, self.env_kwargs = teacher.env_wrappers, teacher.env_kwargs
        self.members, self.fixed, self.discount = teacher.members, teacher.fixed, teacher.discount
        self.provenance = teacher.provenance

    def narrow(self, obs: Any) -> Any:
        """Return what the teacher sees of raw observations."""
        if self._alone:
            return obs[REST]
        return {name: obs[name] for name in self._names}

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a rollout; see `Teacher.label`."""
        return self.teacher.label(self.narrow(obs), episode_starts, state, action_masks)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions on raw observations; see `Actor.predict`."""
        told = {} if action_masks is None else {"action_masks": action_masks}
        return self.teacher.predict(self.narrow(observation), state, episode_start, deterministic, **told)

    def exploration(self, obs: Any, episode_starts: np.ndarray, state: Any = None) -> Exploration | None:
        """Return what its noise is made of; see `Teacher.exploration`."""
        return self.teacher.exploration(self.narrow(obs), episode_starts, state)

    @property
    def calibration(self) -> Any:
        """The teacher's."""
        return self.teacher.calibration

    def calibrated(self, obs: Any) -> Self:
        """Return a copy whose teacher is calibrated."""
        return self._of(self.teacher.calibrated(self.narrow(obs)))

    def with_calibration(self, value: Any) -> Self:
        """Return a copy whose teacher has that calibration."""
        return self._of(self.teacher.with_calibration(value))

    def with_values(self) -> Self:
        """Return a copy whose labels say values too."""
        return self._of(self.teacher.with_values())

    def weights(self) -> Mapping[str, torch.Tensor] | None:
        """Return the teacher's."""
        return self.teacher.weights()

    def _of(self, teacher: Teacher) -> Self:
        one = copy.copy(self)
        one.teacher, one.provenance = teacher, teacher.provenance
        return one
