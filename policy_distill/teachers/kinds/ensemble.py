"""Several teachers as one: all label the same states, and the student matches what they say together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from policy_distill.environments.spaces import subspaces
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.system.foreign import asked
from policy_distill.teachers.base import BaseTeacher
from policy_distill.teachers.by_labels import predict_by_labels, ruled_out

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
        self.labels_apart = all(teacher.labels_apart for teacher in teachers)
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
        device = labels[0].device
        together = self._together(torch.stack([one.params.to(device) for one in labels]))
        # Also those members that take no masks must not lend a forbidden action a share.
        return Labels(ruled_out(together, action_masks), [one.state for one in labels])

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions for one raw observation or a batch, under `action_masks` `[B, A]` where given."""
        return predict_by_labels(self, observation, state, episode_start, deterministic, action_masks)

    def _together(self, params: torch.Tensor) -> torch.Tensor:
        """Combine `[members, T, N, P]`."""
        mixture: Callable[[torch.Tensor], torch.Tensor] | None = asked(self.family, "mixture")
        return params.mean(dim=0) if mixture is None else mixture(params)


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
