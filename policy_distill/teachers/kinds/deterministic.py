"""Teachers of TD3, DDPG and ARS: one action, no spread; what is matched is the executed action."""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.families.deterministic import Deterministic
from policy_distill.interfaces.policies import Teacher
from policy_distill.teachers.kinds.network import NetworkTeacher, box_map, family_of
from policy_distill.teachers.observing import Normalizers


class GreedyTeacher(NetworkTeacher):
    """A policy that acts alike, asked for its mode or for a sample."""

    samples = False


def make_deterministic(policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> Teacher:
    """Return the teacher for a TD3 or DDPG policy: the actor's action in [-1, 1]."""
    space = policy.action_space
    return GreedyTeacher(
        policy,
        normalizer,
        provenance,
        family=Deterministic(int(np.prod(space.shape))),
        action_map=box_map(space, squashed=True),
        forward=policy.actor,
        parameters=policy.actor.parameters(),
        # Its one action's Q is its V, exactly; by the first critic, which the actor was trained on.
        value=lambda obs: policy.critic.q1_forward(obs, policy.actor(obs)),
    )


def make_ars(policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> Teacher:
    """Return the teacher for an ARS policy, linear or not; with discrete actions its outputs serve as logits."""
    family, action_map = family_of(policy, Deterministic)
    return GreedyTeacher(
        policy,
        normalizer,
        provenance,
        family=family,
        action_map=action_map,
        forward=lambda obs: policy.action_net(policy.extract_features(obs, policy.features_extractor)),
        parameters=policy.action_net.parameters(),
    )
