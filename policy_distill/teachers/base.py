"""What a teacher says of itself where its kind says nothing else: the defaults of the contract `Teacher`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.interfaces.students import ActionDistribution

if TYPE_CHECKING:
    from policy_distill.student.actions import ActionMap
    from policy_distill.teachers.observing import Normalizers

Exploration = tuple[torch.Tensor, torch.Tensor]
"""What gSDE's noise is made of: features `[N, F]` of the states, and the deviations `[F, A]` of the noise's weights."""


class BaseTeacher(PolicyDefaults, ABC):
    """Base of teachers: a kind adds its spaces, family, action map, provenance, `label` and `predict`.

    See `Teacher` for what each means.
    """

    takes_raw = True
    samples = True
    family: ActionDistribution
    action_map: ActionMap
    provenance: dict[str, Any]
    normalizer: Normalizers = None
    state_dependent_std = False
    scales_images = True
    n_bytes = 0
    acts_greedily = False
    labels_apart = False
    members: Sequence[Teacher] = ()
    asked_for: dict[str, Any] | None = None
    fixed = False
    discount: float | None = None
    return_scale: float | None = 1.0
    """What a value is multiplied by to be in the environment's own units: training may have seen scaled rewards. None
    where its statistics do not say."""
    lacks_value = "which holds none"
    """Why it says no values, in words that follow its name."""

    @abstractmethod
    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a whole rollout in one batch; see `Teacher.label`."""

    @abstractmethod
    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions on raw observations; see `Actor.predict`."""

    @property
    def calibration(self) -> Any:
        """Nothing to find."""
        return None

    def calibrated(self, obs: Any) -> Self:
        """Return itself: there is nothing to find."""
        return self

    def with_calibration(self, value: Any) -> Self:
        """Return itself, whatever the value: there is nothing to set."""
        return self

    def with_values(self) -> Self:
        """Refuse: it holds no value function.

        Raises:
            RequestError: always.
        """
        raise RequestError(
            "expected a teacher with a value function (PPO, A2C, TRPO, RecurrentPPO, MaskablePPO, DQN, QR-DQN, TD3, "
            f"DDPG), found {self.provenance.get('algorithm')}, {self.lacks_value}; leave out what asks for values "
            "(--value-weight, --value-gate, --objective teacher_value)"
        )

    def weights(self) -> Mapping[str, torch.Tensor] | None:
        """Return None: it is no network."""
        return None

    def exploration(self, obs: Any, episode_starts: np.ndarray, state: Any = None) -> Exploration | None:
        """Return None: noise, where there is any, is independent in every step."""
        return None
