"""Several teachers as one: all label the same states, and the student matches what they say together."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch.nn.functional import log_softmax

from policy_distill.errors import RequestError
from policy_distill.interfaces import Teacher
from policy_distill.sampling import has_distribution


class EnsembleTeacher:
    """A mixture for discrete actions (mean probabilities); mean parameters for continuous ones."""

    acts_greedily = False

    def __init__(self, teachers: list[Teacher]) -> None:
        first = teachers[0]
        for other in teachers[1:]:
            if other.family != first.family or other.observation_space.shape != first.observation_space.shape:
                raise RequestError(
                    f"expected teachers of one family and observation, found {first.family} and {other.family} on "
                    f"{first.observation_space} and {other.observation_space}; distil them one by one"
                )
        self.teachers = teachers
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self.family, self.action_map = first.family, first.action_map
        # Teachers with statistics of their own apply them when they label; the student measures its own.
        self.normalizer = first.normalizer if len({id(teacher.normalizer) for teacher in teachers}) == 1 else None
        self.state_dependent_std = any(teacher.state_dependent_std for teacher in teachers)
        self.env_wrappers = first.env_wrappers
        self.n_params = sum(teacher.n_params for teacher in teachers)
        self.n_bytes = sum(teacher.n_bytes for teacher in teachers)
        self.provenance: dict[str, Any] = {
            "algorithm": "ensemble",
            "source": None,
            "sha256": None,
            "members": [teacher.provenance for teacher in teachers],
        }

    @property
    def samples(self) -> bool:
        """True where every member has a distribution of its own to sample from."""
        return all(has_distribution(teacher) for teacher in self.teachers)

    def calibrated(self, obs: Any) -> EnsembleTeacher:
        """Return a copy whose members are calibrated where they need it; see `ValueTeacher.calibrated`."""
        return self._with([getattr(one, "calibrated", lambda _, one=one: one)(obs) for one in self.teachers])

    def with_calibration(self, values: list[Any]) -> EnsembleTeacher:
        """Return a copy whose members have these calibrations, None for those that need none."""
        pairs = zip(self.teachers, values, strict=True)
        return self._with([one if value is None else one.with_calibration(value) for one, value in pairs])  # type: ignore[attr-defined]

    @property
    def calibration(self) -> list[Any]:
        """The members' calibrations as JSON values, for a checkpoint."""
        return [getattr(teacher, "calibration", None) for teacher in self.teachers]

    def _with(self, teachers: list[Teacher]) -> EnsembleTeacher:
        one = copy.copy(self)
        one.teachers = teachers
        one.provenance = {**self.provenance, "members": [teacher.provenance for teacher in teachers]}
        return one

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Return what the members say together, `[T, N, P]`; see `Teacher.label`."""
        states = state or [None] * len(self.teachers)
        pairs = [
            teacher.label(obs, episode_starts, member_state, action_masks)
            for teacher, member_state in zip(self.teachers, states, strict=True)
        ]
        stacked = torch.stack([params for params, _ in pairs])
        return self._together(stacked), [member_state for _, member_state in pairs]

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions for one raw observation or a batch."""
        single = _is_single(observation, self.observation_space)
        batch = _with_axis(observation) if single else observation
        one_step = _with_axis(batch)
        count = len(next(iter(batch.values())) if isinstance(batch, dict) else batch)
        starts = np.zeros(count, bool) if episode_start is None else np.asarray(episode_start)
        params, state = self.label(one_step, starts[None], state)
        family = self.family
        greedy = deterministic or not self.samples
        chosen = family.mode(params[0]) if greedy else family.sample(params[0], torch.default_generator)
        actions = self.action_map.execute(chosen.numpy())
        return (actions[0] if single else actions), state

    def _together(self, params: torch.Tensor) -> torch.Tensor:
        """Combine `[members, T, N, P]`."""
        if self.family.name == "categorical":
            return torch.logsumexp(log_softmax(params, dim=-1), dim=0) - math.log(len(params))
        return params.mean(dim=0)


def _is_single(obs: Any, space: Any) -> bool:
    """Say whether an observation lacks the dimension of a batch; images may have their channels elsewhere."""
    if isinstance(obs, dict):
        key = next(iter(obs))
        return _is_single(obs[key], space[key])
    return np.ndim(obs) == len(space.shape)


def _with_axis(obs: Any) -> Any:
    """Return an array, or a dict of such, with a first axis of 1."""
    return (
        {key: np.asarray(value)[None] for key, value in obs.items()} if isinstance(obs, dict) else np.asarray(obs)[None]
    )
