"""The convolutional network for images: `cnn:16,32` has convolutions of 16 and 32 channels, then a linear layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from policy_distill.errors import RequestError
from policy_distill.networks.mlp import ACTIVATIONS, GAINS, make_linear
from policy_distill.student.engines.torch_layers import ScaleLayer


@dataclass(frozen=True)
class CNN:
    """Convolutions whose kernels follow from the image's size, as large as Atari agents use on large images."""

    channels: tuple[int, ...]
    """Output channels of each convolution."""
    activation: str = "relu"
    """A key of `ACTIVATIONS`."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """Return the layers for images `(C, H, W)`.

        Raises:
            RequestError: where the observation is no image, or too small for so many convolutions.
        """
        convolutions, n_flat = self._sizes(input_shape)
        layers: list[nn.Module] = [ScaleLayer()]
        for sizes in convolutions:
            layers += [_convolution(*sizes, GAINS[self.activation], generator), ACTIVATIONS[self.activation]()]
        layers += [nn.Flatten(), make_linear(n_flat, n_outputs, 0.01, generator)]
        return nn.Sequential(*layers)

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""
        convolutions, n_flat = self._sizes(input_shape)
        return sum((n_in * kernel**2 + 1) * n_out for n_in, n_out, kernel, _ in convolutions) + (n_flat + 1) * n_outputs

    def _sizes(self, input_shape: tuple[int, ...]) -> tuple[list[tuple[int, int, int, int]], int]:
        """Return (channels in, channels out, kernel, stride) of each convolution, and how many numbers come out."""
        if len(input_shape) != 3:
            raise RequestError(
                f"expected images (bytes in three dimensions) for a cnn, found shape {input_shape}; use mlp"
            )
        found = []
        n_in, *size = input_shape
        for n_out in self.channels:
            kernel, stride = _kernel(min(size), input_shape)
            found.append((n_in, n_out, kernel, stride))
            n_in, size = n_out, [(length - kernel) // stride + 1 for length in size]
        return found, n_in * math.prod(size)


def _kernel(size: int, input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return kernel and stride for an image whose shorter side is `size`."""
    if size >= 64:
        return 8, 4
    if size >= 8:
        return 4, 2
    if size >= 3:
        return 3, 1
    raise RequestError(f"expected fewer convolutions: an image of shape {input_shape} is used up by the ones before")


def _convolution(n_in: int, n_out: int, kernel: int, stride: int, gain: float, generator: torch.Generator) -> nn.Conv2d:
    with torch.random.fork_rng(devices=()):
        layer = nn.Conv2d(n_in, n_out, kernel, stride)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
