"""Several teachers as one: all label the same states, and the student matches what they say together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import log_softmax

from policy_distill.environments.spaces import subspaces
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.system.nested import first_of, with_axis
from policy_distill.teachers.base import BaseTeacher

FORBIDDEN = -1e8
"""Logit of an action that a mask rules out, as sb3-contrib has it."""

SHARED: dict[str, Callable[[Teacher], Any]] = {
    "actions": lambda teacher: teacher.action_map.to_json(),
    "observations": lambda teacher: sorted(subspaces(teacher.observation_space)),
    "wrappers": lambda teacher: list(teacher.env_wrappers),
}
"""What members must have in common, beside their family and the shape of their observations."""


class EnsembleTeacher(BaseTeacher):
    """A mixture for one choice (mean probabilities); mean parameters for several choices, bits, continuous actions."""

    lacks_value = "whose members have values of their own alone, none of what they do together"

    def __init__(self, teachers: list[Teacher]) -> None:
        """Take teachers of one family, in one environment.

        Raises:
            RequestError: where they differ in what they act from, act on, or are wrapped in.
        """
        first = teachers[0]
        for other in teachers[1:]:
            if other.family != first.family or other.observation_space.shape != first.observation_space.shape:
                raise RequestError(
                    f"expected teachers of one family and observation, found {first.family} and {other.family} on "
                    f"{first.observation_space} and {other.observation_space}; distil them one by one"
                )
            for name, of in SHARED.items():
                if of(other) != of(first):
                    raise RequestError(
                        f"expected teachers of one environment, found {name} {of(first)} and {of(other)}; distil them "
                        "one by one"
                    )
        self.members = teachers
        self.takes_action_masks = any(teacher.takes_action_masks for teacher in teachers)
        self.acts_greedily = all(teacher.acts_greedily for teacher in teachers)
        # Every member needs a distribution of its own.
        self.samples = all(teacher.samples for teacher in teachers)
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self.family, self.action_map = first.family, first.action_map
        # Teachers with statistics of their own apply them when they label; the student measures its own.
        self.normalizer = first.normalizer if len({id(teacher.normalizer) for teacher in teachers}) == 1 else None
        self.state_dependent_std = any(teacher.state_dependent_std for teacher in teachers)
        self.env_wrappers = first.env_wrappers
        self.env_kwargs = _one_world(teachers)
        self.n_params = sum(teacher.n_params for teacher in teachers)
        self.n_bytes = sum(teacher.n_bytes for teacher in teachers)
        self.provenance: dict[str, Any] = {
            "algorithm": "ensemble",
            "source": None,
            "sha256": None,
            "members": [teacher.provenance for teacher in teachers],
        }

    def calibrated(self, obs: Any) -> EnsembleTeacher:
        """Return a copy whose members are calibrated where they need it; see `ValueTeacher.calibrated`."""
        return self._with([one.calibrated(obs) for one in self.members])

    def with_calibration(self, value: list[Any]) -> EnsembleTeacher:
        """Return a copy whose members have these calibrations, None for those that need none."""
        pairs = zip(self.members, value, strict=True)
        return self._with([one if own is None else one.with_calibration(own) for one, own in pairs])

    @property
    def calibration(self) -> list[Any]:
        """The members' calibrations as JSON values, for a checkpoint."""
        return [teacher.calibration for teacher in self.members]

    def _with(self, teachers: list[Teacher]) -> EnsembleTeacher:
        one = copy.copy(self)
        one.members = teachers
        one.provenance = {**self.provenance, "members": [teacher.provenance for teacher in teachers]}
        return one

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Return what the members say together, `[T, N, P]`; see `Teacher.label`."""
        states = state or [None] * len(self.members)
        labels = [
            teacher.label(obs, episode_starts, member_state, action_masks)
            for teacher, member_state in zip(self.members, states, strict=True)
        ]
        device = labels[0].params.device
        together = self._together(torch.stack([one.params.to(device) for one in labels]))
        if action_masks is not None:
            # Also those members that take no masks must not lend a forbidden action a share.
            allowed = torch.from_numpy(np.asarray(action_masks, dtype=bool)).reshape(together.shape).to(device)
            together = together.masked_fill(~allowed, FORBIDDEN)
        return Labels(together, [one.state for one in labels])

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions for one raw observation or a batch, under `action_masks` `[B, A]` where given."""
        single = _is_single(observation, self.observation_space)
        batch = with_axis(observation) if single else observation
        count = len(first_of(batch))
        starts = np.zeros(count, bool) if episode_start is None else np.asarray(episode_start)
        masks = None if action_masks is None else np.asarray(action_masks).reshape(1, count, -1)
        labels = self.label(with_axis(batch), starts[None], state, masks)
        family, params = self.family, labels.params[0].cpu()
        greedy = deterministic or not self.samples
        chosen = family.mode(params) if greedy else family.sample(params, torch.default_generator)
        actions = self.action_map.execute(chosen.numpy())
        return (actions[0] if single else actions), labels.state

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


def _one_world(teachers: list[Teacher]) -> dict[str, Any]:
    """Return the constructor arguments of the one environment that all members were trained in.

    Raises:
        RequestError: where they were trained in several.
    """
    worlds = [dict(teacher.env_kwargs) for teacher in teachers]
    for other in worlds[1:]:
        if other != worlds[0]:
            raise RequestError(
                f"expected teachers of one environment, found arguments {worlds[0]} and {other}; say which hold with "
                "--env-kwargs (env_kwargs in Python)"
            )
    return worlds[0]
