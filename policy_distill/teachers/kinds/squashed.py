"""Teachers of SAC, TQC and CrossQ: tanh of a Gaussian whose parameters depend on the state; gSDE as its marginal."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy_distill.families.squashed_gaussian import SquashedGaussian
from policy_distill.interfaces.policies import Teacher
from policy_distill.system.foreign import asked
from policy_distill.teachers.base import Exploration
from policy_distill.teachers.kinds.network import NetworkTeacher, box_map
from policy_distill.teachers.observing import Normalizers


class SquashedTeacher(NetworkTeacher):
    """A policy whose critic values actions under an entropy bonus."""

    lacks_value = "which holds Q with an entropy bonus, and V has no closed form there"


def make_squashed(policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> Teacher:
    """Return the teacher for a policy with a squashed Gaussian actor."""
    actor = policy.actor

    def forward(obs: Any) -> torch.Tensor:
        mean, log_std, arguments = actor.get_action_dist_params(obs)
        # With gSDE the deviation is that of the marginal: the noise on the weights, carried through the features.
        base = actor.action_dist.proba_distribution(mean, log_std, **arguments).distribution
        return torch.cat([mean, base.stddev.log()], dim=-1)

    def explore(obs: Any) -> Exploration:
        _, log_std, arguments = actor.get_action_dist_params(obs)
        return arguments["latent_sde"], actor.action_dist.get_std(log_std)

    space = policy.action_space
    return SquashedTeacher(
        policy,
        normalizer,
        provenance,
        family=SquashedGaussian(int(np.prod(space.shape))),
        action_map=box_map(space, squashed=True),
        forward=forward,
        parameters=actor.parameters(),
        state_dependent_std=True,
        explore=explore if asked(actor, "use_sde") else None,
    )
