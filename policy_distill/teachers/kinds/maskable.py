"""Teachers of MaskablePPO: the policy's distribution under the environment's action masks.

A masked action has probability 0 for the teacher, so the student learns to leave it alone even where nobody masks it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy_distill.errors import RequestError
from policy_distill.families.bernoulli import Bernoulli
from policy_distill.families.multi_categorical import MultiCategorical
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.teachers.kinds.network import NetworkTeacher, discrete_family
from policy_distill.teachers.kinds.on_policy import actor_parameters, distribution_params
from policy_distill.teachers.observing import Normalizers, batch_major


class MaskableTeacher(NetworkTeacher):
    """An actor-critic policy that is told which actions are allowed."""

    takes_action_masks = True
    """Whoever collects or evaluates hands over the environment's masks."""

    @torch.no_grad()
    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a rollout under `action_masks` `[T, N, A]`; without any, all actions are allowed."""
        n_steps, n_envs = episode_starts.shape
        masks = None if action_masks is None else action_masks.swapaxes(0, 1).reshape(n_steps * n_envs, -1)
        distribution = self.policy.get_distribution(self.observe(batch_major(obs)), action_masks=masks)
        params = distribution_params(distribution).reshape(n_envs, n_steps, -1).transpose(0, 1)
        return Labels(params.to(torch.float32).contiguous(), value=self._values(obs))

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions under `action_masks` `[B, A]`."""
        return self._ask(observation, state, episode_start, deterministic, action_masks=action_masks)


def make_maskable(policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> Teacher:
    """Return the teacher for a MaskablePPO policy."""
    family_and_map = discrete_family(policy.action_space)
    if family_and_map is None:
        raise RequestError(f"expected discrete actions for MaskablePPO, found {policy.action_space}")
    family, action_map = family_and_map
    if isinstance(family, Bernoulli):
        # sb3-contrib takes a bit as a choice between two, so that either can be ruled out.
        family = MultiCategorical((2,) * family.n_params)
    return MaskableTeacher(
        policy,
        normalizer,
        provenance,
        family=family,
        action_map=action_map,
        forward=lambda obs: obs,
        parameters=actor_parameters(policy),
        value=policy.predict_values,
    )
