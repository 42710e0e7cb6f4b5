"""Teachers with an SB3 `ActorCriticPolicy` (PPO, A2C): they act from a distribution that the policy itself gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common import distributions as sb3
from stable_baselines3.common.policies import ActorCriticPolicy

from policy_distill.actions import ActionMap
from policy_distill.distributions.categorical import Categorical
from policy_distill.distributions.diagonal_gaussian import DiagonalGaussian
from policy_distill.errors import RequestError
from policy_distill.interfaces import ActionDistribution
from policy_distill.teachers.observing import Normalizers, count, label_in_chunks, normalize, to_tensor


class OnPolicyTeacher:
    """A PPO or A2C policy with its observation normalisation."""

    def __init__(self, policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> None:
        self.policy = policy
        self.normalizer = normalizer
        self.provenance = provenance
        self.observation_space = policy.observation_space
        self.action_space = policy.action_space
        self.family, self.action_map = _family(policy)
        self.state_dependent_std = isinstance(policy.action_dist, sb3.StateDependentNoiseDistribution)
        self.n_params, self.n_bytes = count(_actor_parameters(policy))

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Label a rollout in one batch; see `Teacher.label`."""
        return label_in_chunks(obs, self._params), None

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions on raw observations; see `Policy.predict`. Sampling draws from torch's generator."""
        return self.policy.predict(normalize(observation, self.normalizer), state, episode_start, deterministic)

    def _params(self, obs: Any) -> torch.Tensor:
        tensor = to_tensor(self.policy, normalize(obs, self.normalizer))
        # SB3 overwrites this one object at its next call, so the parameters are copied out at once.
        distribution: Any = self.policy.get_distribution(tensor).distribution
        if isinstance(distribution, torch.distributions.Categorical):
            return distribution.logits.clone()
        return torch.cat([distribution.mean, distribution.stddev.log()], dim=-1)


def _family(policy: ActorCriticPolicy) -> tuple[ActionDistribution, ActionMap]:
    space = policy.action_space
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n)), ActionMap("index", (), "int64", start=int(space.start))
    if isinstance(space, spaces.Box):
        kind = "unsquash" if policy.squash_output else "clip"
        action_map = ActionMap(kind, space.shape, str(space.dtype), space.low, space.high)
        return DiagonalGaussian(int(np.prod(space.shape))), action_map
    raise RequestError(
        f"expected a teacher with Discrete or Box actions, found {space}; this kind is not supported yet"
    )


def _actor_parameters(policy: ActorCriticPolicy) -> list[torch.Tensor]:
    modules = (policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net)
    parameters: list[torch.Tensor] = [parameter for module in modules for parameter in module.parameters()]
    log_std = getattr(policy, "log_std", None)
    return parameters if log_std is None else [*parameters, log_std]
