"""Teachers of RecurrentPPO: the policy's own distribution, its LSTM state carried from one rollout to the next.

A student with a memory (`gru:32`) may learn all of it; one without learns what the teacher does in the states that it
sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.teachers.base import Exploration
from policy_distill.teachers.kinds.network import NetworkTeacher, family_of
from policy_distill.teachers.kinds.on_policy import (
    actor_parameters,
    distribution_params,
    exploration_of,
    gaussian_of,
    uses_gsde,
)
from policy_distill.teachers.observing import Normalizers, batch_major


class RecurrentTeacher(NetworkTeacher):
    """An actor-critic policy with an LSTM before its layers."""

    @torch.no_grad()
    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a rollout in one call, through time; `state` is the LSTM's, (h, c), `[layers, N, hidden]` each."""
        n_steps, n_envs = episode_starts.shape
        distribution, state = self._through_time(obs, episode_starts, state)
        params = distribution_params(distribution).reshape(n_envs, n_steps, -1).transpose(0, 1)
        return Labels(params.to(torch.float32).contiguous(), state)

    @torch.no_grad()
    def exploration(self, obs: Any, episode_starts: np.ndarray, state: Any = None) -> Exploration | None:
        """Return gSDE's features and weights for one step; see `NetworkTeacher.exploration`."""
        if not uses_gsde(self.policy):
            return None
        return exploration_of(self._through_time(obs, episode_starts, state)[0], self.policy.log_std)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions on raw observations and the next LSTM state; see `NetworkTeacher.predict`."""
        return self._ask(observation, state, episode_start, deterministic)

    def _through_time(self, obs: Any, episode_starts: np.ndarray, state: Any) -> tuple[Any, Any]:
        """Return SB3's distribution for all steps, and the state after the last."""
        if state is None:
            shape = (self.policy.lstm_actor.num_layers, episode_starts.shape[1], self.policy.lstm_actor.hidden_size)
            state = (torch.zeros(shape, device=self.policy.device), torch.zeros(shape, device=self.policy.device))
        # SB3 reads sequences one after another: all steps of the first environment, then of the second.
        starts = torch.as_tensor(episode_starts.T.reshape(-1), dtype=torch.float32, device=self.policy.device)
        found: tuple[Any, Any] = self.policy.get_distribution(self.observe(batch_major(obs)), state, starts)
        return found


def make_recurrent(policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> Teacher:
    """Return the teacher for a RecurrentPPO policy."""
    family, action_map = family_of(policy, gaussian_of(policy))
    return RecurrentTeacher(
        policy,
        normalizer,
        provenance,
        family=family,
        action_map=action_map,
        forward=lambda obs: obs,
        parameters=[*policy.lstm_actor.parameters(), *actor_parameters(policy)],
        state_dependent_std=uses_gsde(policy),
    )
