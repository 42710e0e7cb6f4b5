"""A network for boards of few cells, which are too small for that of Atari agents."""

from __future__ import annotations

import gymnasium
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn


class SmallCNN(BaseFeaturesExtractor):
    """The network that MinAtar's authors used: 16 convolutions of 3 x 3, and 128 units behind them."""

    def __init__(self, observation_space: gymnasium.spaces.Box, features_dim: int = 128) -> None:
        super().__init__(observation_space, features_dim)
        rows, columns, n_planes = observation_space.shape
        self.layers = nn.Sequential(
            nn.Conv2d(n_planes, 16, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * (rows - 2) * (columns - 2), features_dim),
            nn.ReLU(),
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return features `[B, features_dim]` of boards `[B, rows, columns, planes]`."""
        return self.layers(observations.permute(0, 3, 1, 2))
