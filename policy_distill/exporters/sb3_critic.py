"""The critic that travels beside a student, as the value network of a Stable-Baselines3 policy."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from policy_distill.student.record import CriticRecord

VALUE_WIDTHS = [64, 64]
"""Hidden layers of the value network of a student without a critic, which starts untrained."""


def value_widths(critic: CriticRecord | None) -> list[int]:
    """Return the hidden layers of the value network."""
    return VALUE_WIDTHS if critic is None else [len(bias) for _, bias in critic.layers[:-1]]


@torch.no_grad()
def copy_critic(policy: Any, critic: CriticRecord | None) -> None:
    """Give an actor-critic policy a critic's weights, for the features that both share; without one it stays as is."""
    if critic is None:
        return
    hidden = [module for module in policy.mlp_extractor.value_net if isinstance(module, nn.Linear)]
    for module, (weight, bias) in zip([*hidden, policy.value_net], critic.layers, strict=True):
        module.weight.copy_(torch.from_numpy(weight))
        module.bias.copy_(torch.from_numpy(bias))
