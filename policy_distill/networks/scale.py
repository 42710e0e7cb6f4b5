"""The first layer of a student on images: bytes to numbers in [0, 1]."""

from __future__ import annotations

import torch
from torch import nn


class Scale(nn.Module):
    """Multiplies by a constant, as float32."""

    def __init__(self, factor: float = 1.0 / 255.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` times the factor."""
        return x.to(torch.float32) * self.factor
