"""Stable-Baselines3's actor-critic with a student inside: what a PPO zip of a student is made of.

The zip names these classes, so policy-distill must be installed where it is loaded.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


class StudentExtractor(BaseFeaturesExtractor):
    """Makes a student's features of what SB3 hands over, and runs its convolutions, which train on."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        features_dim: int,
        parts: list[dict[str, Any]],
        convolutions: list[dict[str, Any]],
        activation: str,
        image: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, features_dim=features_dim)
        self.parts = nn.ModuleDict({_name(part["key"]): _Part(part) for part in parts})
        self.keys = [part["key"] for part in parts]
        layers: list[nn.Module] = []
        for one in convolutions:
            layers += [nn.Conv2d(one["n_in"], one["n_out"], tuple(one["kernel"]), one["stride"])]
            layers += [ACTIVATIONS[activation]()]
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.image = image

    def forward(self, obs: Any) -> torch.Tensor:
        """Return features `[B, D]`."""
        found = [self.parts[_name(key)](obs[key] if key else obs) for key in self.keys]
        features = found[0] if len(found) == 1 else torch.cat(found, dim=1)
        return self.convolutions(features) if self.image is None else self._convolved(features, self.image)

    def _convolved(self, features: torch.Tensor, image: dict[str, Any]) -> torch.Tensor:
        """Return what convolutions make of the image that features begin with, and what stands beside it."""
        n = features.shape[1] - image["beside"]
        pixels = features[:, :n].reshape(-1, *image["shape"])
        pixels = pixels.movedim(-1, 1) if image["channels_last"] else pixels
        return torch.cat([self.convolutions(pixels), features[:, n:]], dim=1)


class _Part(nn.Module):
    """Features of one leaf: SB3 has cast it to float32, and put an image's channels first."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, part: dict[str, Any]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(part["mean"], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(part["scale"], dtype=torch.float64))
        self.clip, self.factor = part["clip"], part["factor"]
        self.is_image, self.channels_last = part["is_image"], part["channels_last"]
        self.to_front = part.get("to_front", False)  # zips of earlier versions have no such entry

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        if self.is_image:
            return (obs.movedim(-1, 1) if self.to_front else obs).float() * self.factor
        flat = (obs.movedim(1, -1) if self.channels_last else obs).reshape(len(obs), -1)
        if len(self.mean) > 0:
            normalised = (flat.double() - self.mean) * self.scale
            return (normalised if self.clip is None else normalised.clamp(-self.clip, self.clip)).float()
        return flat.float() * self.factor


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

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Any,
        *,
        squash: tuple[list[float], list[float]] | None = None,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        **options: Any,
    ) -> None:
        self._squash = squash
        super().__init__(
            observation_space, action_space, lr_schedule, use_sde=use_sde, optimizer_class=optimizer_class, **options
        )

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        if self._squash is not None:
            # It adds no parameters, so the optimiser that was just made holds them all.
            self.action_net = nn.Sequential(self.action_net, Squash(*self._squash))


def _name(key: str) -> str:
    """Return a name that torch takes for a module."""
    return "obs_" + key.replace(".", "_")
