"""Layers in PyTorch, for training as for acting: torch's own with given weights, and those that it does not have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import nn


class OwnLayer(nn.Module, ABC):
    """A layer that torch does not have, and that says what a student's file is to call it."""

    @abstractmethod
    def record(self, prefix: str) -> dict[str, Any]:
        """Return the layer's record; its arrays are named `prefix` and their name in this module."""


class ScaleLayer(OwnLayer):
    """Multiplies by a constant, as float32: bytes become numbers in [0, 1]."""

    def __init__(self, factor: float = 1.0 / 255.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` times the factor."""
        # In place where that is a copy: of large images a second one costs more than the product.
        return x * self.factor if x.dtype == torch.float32 else x.to(torch.float32).mul_(self.factor)

    def record(self, prefix: str) -> dict[str, Any]:
        """Return the layer's record."""
        return {"op": "scale", "factor": self.factor}


class ImageLayer(OwnLayer):
    """Makes an image `[C, H, W]` of a vector that has the numbers of an observed one."""

    def __init__(self, shape: tuple[int, ...], *, channels_last: bool) -> None:
        super().__init__()
        self.shape = shape
        self.channels_last = channels_last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[B, C, H, W]` of `[B, n]`."""
        images = x.reshape([-1, *self.shape])
        return images.movedim(-1, 1) if self.channels_last else images

    def record(self, prefix: str) -> dict[str, Any]:
        """Return the layer's record."""
        return {"op": "image", "shape": list(self.shape), "channels_last": self.channels_last}


class Beside(nn.Module):
    """Layers that leave the last `n` numbers of a vector alone, and put them behind what they make of the others."""

    def __init__(self, layers: nn.Sequential, n: int) -> None:
        super().__init__()
        self.layers = layers
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[B, m + n]` of `[B, k + n]`."""
        return torch.cat([self.layers(x[:, : -self.n]), x[:, -self.n :]], dim=1)


class Select(OwnLayer):
    """Takes some components of a vector."""

    columns: torch.Tensor

    def __init__(self, columns: list[int]) -> None:
        super().__init__()
        # No weights: it belongs into the record, and not among the file's arrays.
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[B, len(columns)]` of `[B, n]`."""
        return x.index_select(1, self.columns)

    def record(self, prefix: str) -> dict[str, Any]:
        """Return the layer's record."""
        return {"op": "select", "columns": self.columns.tolist()}


def linear_of(weight: np.ndarray, bias: np.ndarray) -> nn.Module:
    """Return a linear layer with copies of these weights, `[out, in]` and `[out]`."""
    return _loaded(nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0]), weight, bias)


def conv2d_of(weight: np.ndarray, bias: np.ndarray, stride: int) -> nn.Module:
    """Return a convolution with copies of these weights, `[out, in, H, W]` and `[out]`."""
    n_out, n_in, *kernel = weight.shape
    return _loaded(nn.utils.skip_init(nn.Conv2d, n_in, n_out, tuple(kernel), stride), weight, bias)


def _loaded(module: nn.Module, weight: np.ndarray, bias: np.ndarray) -> nn.Module:
    module.load_state_dict({"weight": torch.from_numpy(np.array(weight)), "bias": torch.from_numpy(np.array(bias))})
    return module
