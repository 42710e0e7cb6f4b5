"""A teacher some of whose actions are random: what it says of a state is wrong in so many of them."""

from __future__ import annotations

import copy
import math
from typing import Any, Self

import numpy as np
import torch

from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.teachers.base import BaseTeacher


class NoisyTeacher(BaseTeacher):
    """Another teacher, a share of whose actions are uniformly random.

    Of one choice it says the mixture itself. A mixture of Gaussians is none, so there it says, in so many states, a
    random mean in place of its own: over many states, a student is taught the same. Values are those of the teacher
    without noise.
    """

    def __init__(self, teacher: Teacher, noise: float, seed: int) -> None:
        """Take a teacher of one choice, or of a Gaussian within bounds."""
        self.teacher, self.noise = teacher, noise
        self._rng = np.random.default_rng(seed)
        self.observation_space, self.action_space = teacher.observation_space, teacher.action_space
        self.family, self.action_map = teacher.family, teacher.action_map
        self.normalizer, self.discount = teacher.normalizer, teacher.discount
        self.state_dependent_std = teacher.state_dependent_std
        self.n_params, self.n_bytes = teacher.n_params, teacher.n_bytes
        self.env_wrappers, self.env_kwargs = list(teacher.env_wrappers), dict(teacher.env_kwargs)
        self.provenance = {**teacher.provenance, "noise": noise}

    def with_values(self) -> Self:
        """Return a copy whose labels say values too."""
        one = copy.copy(self)
        one.teacher = self.teacher.with_values()
        return one

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a rollout; see `Teacher.label`."""
        labels = self.teacher.label(obs, episode_starts, state, action_masks)
        return labels._replace(params=self._noisy(labels.params))

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions `[B, ...]` for raw observations `[B, ...]`, some of them random."""
        actions, state = self.teacher.predict(observation, state, episode_start, deterministic)
        at_random = self._rng.random(len(actions)) < self.noise
        drawn = np.stack([self._drawn() for _ in actions]).astype(actions.dtype)
        actions = np.array(actions)
        actions[at_random] = drawn[at_random]
        return actions, state

    def _noisy(self, params: torch.Tensor) -> torch.Tensor:
        if self.family.name == "categorical":
            uniform = math.log(self.noise / params.shape[-1])
            own = torch.log_softmax(params, dim=-1) + math.log1p(-self.noise)
            return torch.logaddexp(own, torch.full_like(own, uniform))
        found = params.clone()
        flat = found.reshape(-1, found.shape[-1])
        at = np.flatnonzero(self._rng.random(len(flat)) < self.noise)
        low, high = (np.asarray(bound).ravel() for bound in self._bounds)
        flat[at, : len(low)] = torch.from_numpy(self._rng.uniform(low, high, (len(at), len(low)))).to(flat.dtype)
        return found

    def _drawn(self) -> Any:
        if self.family.name == "categorical":
            return self._rng.integers(self.family.n_params)
        return self._rng.uniform(*self._bounds)

    @property
    def _bounds(self) -> tuple[Any, Any]:
        return self.action_map.low, self.action_map.high
