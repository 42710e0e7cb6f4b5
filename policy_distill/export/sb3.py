"""A student back in Stable-Baselines3: a PPO model that starts as the student and can train on.

In: a student of vectors, without convolutions. Out: a `PPO` whose deterministic actions are the student's. Where the
student's log σ depends on the state, PPO starts with its bias for all states, since SB3 has one vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from policy_distill.errors import RequestError
from policy_distill.runtime import Student

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
VALUE_WIDTHS = [64, 64]
"""Hidden layers of the value network, which starts untrained."""


class NormalizedExtractor(BaseFeaturesExtractor):
    """Flattens observations and applies the student's fixed statistics."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, observation_space: spaces.Box, mean: list[float], scale: list[float], clip: float) -> None:
        super().__init__(observation_space, features_dim=len(mean))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.clip = clip

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Return features `[B, D]`."""
        return ((obs.flatten(start_dim=1) - self.mean) * self.scale).clamp(-self.clip, self.clip)


class Squash(nn.Module):
    """From unbounded means to actions within bounds, through tanh."""

    low: torch.Tensor
    span: torch.Tensor

    def __init__(self, low: list[float], high: list[float]) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(low, dtype=torch.float32))
        self.register_buffer("span", torch.tensor(high, dtype=torch.float32) - torch.tensor(low, dtype=torch.float32))

    def forward(self, mean: torch.Tensor) -> torch.Tensor:
        """Return executed actions `[B, A]`."""
        return self.low + 0.5 * (torch.tanh(mean) + 1.0) * self.span


class StudentActorCriticPolicy(ActorCriticPolicy):
    """SB3's policy, its mean squashed to the action bounds where the student's is."""

    def __init__(self, *arguments: Any, squash: tuple[list[float], list[float]] | None = None, **options: Any) -> None:
        self._squash = squash
        super().__init__(*arguments, **options)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        if self._squash is not None:
            # It adds no parameters, so the optimiser that was just made holds them all.
            self.action_net = nn.Sequential(self.action_net, Squash(*self._squash))


def to_sb3(student: Student, env: Any) -> PPO:
    """Return a PPO model in `env` whose policy starts as the student.

    Raises:
        RequestError: for a student that SB3's policy cannot hold: images, Dict or discrete observations.
    """
    layers, space = _layers(student), student.metadata["observation_space"]
    if space["type"] != "Box" or layers is None:
        raise RequestError("expected a student of vectors with an mlp or linear network; others cannot become PPO yet")
    activation = student.metadata["architecture"]["activation"]
    squash = _squash(student)
    model = PPO(
        StudentActorCriticPolicy,
        env,
        device="cpu",
        policy_kwargs={
            "net_arch": {"pi": [len(bias) for _, bias in layers[:-1]], "vf": VALUE_WIDTHS},
            "activation_fn": ACTIVATIONS[activation],
            "features_extractor_class": NormalizedExtractor,
            "features_extractor_kwargs": _statistics(student),
            "squash": squash,
        },
    )
    _copy(model.policy, layers, squash is not None, student.tensors.get("log_std"))
    return model


def _layers(student: Student) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Return weights and biases of the linear layers; None where there are layers of another kind."""
    records = student.metadata["architecture"]["layers"]
    if any(layer["op"] not in ("linear", "tanh", "relu") for layer in records):
        return None
    tensors = student.tensors
    return [(tensors[layer["weight"]], tensors[layer["bias"]]) for layer in records if layer["op"] == "linear"]


def _statistics(student: Student) -> dict[str, Any]:
    normalizer = student.normalizer
    if normalizer is None:
        size = int(np.prod(student.metadata["observation_space"]["shape"]))
        return {"mean": [0.0] * size, "scale": [1.0] * size, "clip": float("inf")}
    return {
        "mean": normalizer.mean.ravel().tolist(),
        "scale": normalizer.scale.ravel().tolist(),
        "clip": normalizer.clip,
    }


def _squash(student: Student) -> tuple[list[float], list[float]] | None:
    post = student.metadata["action_post_processing"]
    return (post["low"], post["high"]) if post["kind"] == "unsquash" else None


def _copy(policy: Any, layers: list[tuple[np.ndarray, np.ndarray]], squashed: bool, log_std: np.ndarray | None) -> None:
    action_net = policy.action_net[0] if squashed else policy.action_net
    targets = [module for module in policy.mlp_extractor.policy_net if isinstance(module, nn.Linear)]
    n_actions = action_net.out_features
    with torch.no_grad():
        for module, (weight, bias) in zip([*targets, action_net], layers, strict=True):
            # A head of log σ follows the means; SB3's policy has none.
            module.weight.copy_(torch.from_numpy(weight[: module.out_features]))
            module.bias.copy_(torch.from_numpy(bias[: module.out_features]))
        if log_std is None and len(layers[-1][1]) == 2 * n_actions:
            log_std = layers[-1][1][n_actions:]
        if log_std is not None:
            policy.log_std.copy_(torch.from_numpy(log_std))
