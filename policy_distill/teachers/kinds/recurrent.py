"""Teachers of RecurrentPPO: the policy's own distribution, its LSTM state carried from one rollout to the next.

A student with a memory (`gru:32`) may learn all of it; one without learns what the teacher does in the states that it
sees.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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


class _States(NamedTuple):
    """As sb3-contrib's `RNNStates`, which is not always installed."""

    pi: Any
    vf: Any


class RecurrentTeacher(NetworkTeacher):
    """An actor-critic policy with an LSTM before its layers."""

    @torch.no_grad()
    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a rollout in one call, through time; `state` is the LSTM's, (h, c), `[layers, N, hidden]` each.

        Of one that says values it is a pair: that of the actor's, and that of the critic's.
        """
        n_steps, n_envs = episode_starts.shape
        of_actor, of_critic = (state or (None, None)) if self._says_values else (state, None)
        distribution, after = self._through_time(obs, episode_starts, of_actor)
        params = distribution_params(distribution).reshape(n_envs, n_steps, -1).transpose(0, 1)
        params = params.to(torch.float32).contiguous()
        if not self._says_values:
            return Labels(params, after)
        values, critic_after = self._values_through_time(obs, episode_starts, of_actor, of_critic)
        values = values.reshape(n_envs, n_steps).transpose(0, 1).to(torch.float32).contiguous()
        return Labels(params, (after, critic_after), self._in_own_units(values))

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
        state = self._begun(self.policy.lstm_actor, episode_starts) if state is None else state
        found: tuple[Any, Any] = self.policy.get_distribution(
            self.observe(batch_major(obs)), state, self._starts(episode_starts)
        )
        return found

    def _values_through_time(
        self, obs: Any, episode_starts: np.ndarray, of_actor: Any, of_critic: Any
    ) -> tuple[torch.Tensor, Any]:
        """Return values `[N * T, 1]` in the agent's units, and the critic's state after the last step.

        SB3's own `forward`, since its `predict_values` keeps the state to itself; the critic may have an LSTM of its
        own, share the actor's, or have none.
        """
        policy = self.policy
        own = policy.lstm_critic if policy.lstm_critic is not None else policy.lstm_actor
        states = _States(
            self._begun(policy.lstm_actor, episode_starts) if of_actor is None else of_actor,
            self._begun(own, episode_starts) if of_critic is None else of_critic,
        )
        _, values, _, after = policy.forward(
            self.observe(batch_major(obs)), states, self._starts(episode_starts), deterministic=True
        )
        return values, after.vf

    def _begun(self, lstm: Any, episode_starts: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the state of an LSTM that remembers nothing."""
        shape = (lstm.num_layers, episode_starts.shape[1], lstm.hidden_size)
        return torch.zeros(shape, device=self.policy.device), torch.zeros(shape, device=self.policy.device)

    def _starts(self, episode_starts: np.ndarray) -> torch.Tensor:
        """Return starts as SB3 reads sequences: all steps of the first environment, then of the second."""
        return torch.as_tensor(episode_starts.T.reshape(-1), dtype=torch.float32, device=self.policy.device)


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
        # The critic is asked through time, above.
        value=policy.value_net,
    )
