"""Teachers with an SB3 `ActorCriticPolicy` (PPO, A2C, TRPO): the policy's own distribution; gSDE as its marginal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from stable_baselines3.common import distributions as sb3
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.squashed_gaussian import SquashedGaussian
from policy_distill.interfaces.policies import Teacher
from policy_distill.system.foreign import asked
from policy_distill.teachers.base import Exploration
from policy_distill.teachers.kinds.network import NetworkTeacher, family_of
from policy_distill.teachers.observing import Normalizers


def make_on_policy(policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> Teacher:
    """Return the teacher for an actor-critic policy."""
    family, action_map = family_of(policy, gaussian_of(policy))
    return NetworkTeacher(
        policy,
        normalizer,
        provenance,
        family=family,
        action_map=action_map,
        forward=head_of(policy),
        parameters=actor_parameters(policy),
        state_dependent_std=uses_gsde(policy),
        explore=(lambda obs: exploration_of(policy.get_distribution(obs), policy.log_std))
        if uses_gsde(policy)
        else None,
        value=policy.predict_values,
    )


def head_of(policy: Any) -> Callable[[Any], torch.Tensor]:
    """Return the function from a policy's tensors to parameters `[B, P]` of the distribution that it makes of them.

    SB3's own way checks and builds a distribution, which takes longer than a small network. Where a policy goes the
    usual way to one of the two usual distributions, only its parameters are computed, by the same operations.
    """
    made, usual = policy.action_dist, _goes_the_usual_way(policy)
    if usual and type(made) is sb3.CategoricalDistribution:
        return lambda obs: _log_probabilities(policy.action_net(_latent(policy, obs)))
    if usual and type(made) is sb3.DiagGaussianDistribution:
        return lambda obs: _mean_and_log_std(policy.action_net(_latent(policy, obs)), policy.log_std)
    # SB3 overwrites this one object at its next call, so the parameters are copied out at once.
    return lambda obs: distribution_params(policy.get_distribution(obs))


def _goes_the_usual_way(policy: Any) -> bool:
    """Say whether nobody has changed how a policy gets from its tensors to its distribution."""
    kind, usual = type(policy), ActorCriticPolicy
    return (
        isinstance(policy, ActorCriticPolicy)
        and kind.get_distribution is usual.get_distribution
        and kind._get_action_dist_from_latent is usual._get_action_dist_from_latent
        and not {"get_distribution", "_get_action_dist_from_latent"} & vars(policy).keys()
    )


def _latent(policy: Any, obs: Any) -> torch.Tensor:
    features = BasePolicy.extract_features(policy, obs, policy.pi_features_extractor)
    latent: torch.Tensor = policy.mlp_extractor.forward_actor(features)
    return latent


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    return logits - logits.logsumexp(dim=-1, keepdim=True)


def _mean_and_log_std(mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    # There and back, as SB3's distribution has it: a logarithm of its own would differ in the last bit.
    return torch.cat([mean, (torch.ones_like(mean) * log_std.exp()).log()], dim=-1)


def gaussian_of(policy: Any) -> type[DiagonalGaussian | SquashedGaussian]:
    """Return the family of a policy's continuous actions: gSDE can squash them (`squash_output`)."""
    return SquashedGaussian if policy.squash_output else DiagonalGaussian


def uses_gsde(policy: Any) -> bool:
    """Say whether an actor-critic policy explores by gSDE."""
    return isinstance(policy.action_dist, sb3.StateDependentNoiseDistribution)


def exploration_of(distribution: Any, log_std: torch.Tensor) -> Exploration:
    """Return what the noise of a gSDE distribution is made of in the states that it was last asked for."""
    return distribution._latent_sde.detach(), distribution.get_std(log_std).detach()


def distribution_params(distribution: Any) -> torch.Tensor:
    """Return `[B, P]` parameters, in the layout of our families, of one of SB3's distributions."""
    inner = asked(distribution, "distribution")
    inner = inner if inner is not None else distribution.distributions
    if isinstance(inner, list):
        return torch.cat([part.logits for part in inner], dim=-1)
    if isinstance(inner, torch.distributions.Normal):
        return torch.cat([inner.mean, inner.stddev.log()], dim=-1)
    return inner.logits.clone()


def actor_parameters(policy: Any) -> list[torch.Tensor]:
    """Return what acting needs of an actor-critic policy: extractor, policy layers, action layer, log σ."""
    modules = (policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net)
    parameters = [parameter for module in modules for parameter in module.parameters()]
    log_std = asked(policy, "log_std")
    return parameters if log_std is None else [*parameters, log_std]
