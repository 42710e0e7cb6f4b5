"""The convolutional network: `cnn:16,32` has convolutions of 16 and 32 channels, `cnn:16,32+mlp:64` a hidden layer too.

What is observed beside an image, of a Dict, joins what the convolutions make of it, before the hidden layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from policy_distill.errors import RequestError
from policy_distill.networks.mlp import ACTIVATIONS, GAINS, MLP
from policy_distill.student.engines.torch_layers import Beside, ImageLayer, ScaleLayer
from policy_distill.student.pixels import channels_first


@dataclass(frozen=True)
class CNN:
    """Convolutions whose kernels follow from the image's size, as large as Atari agents use on large images."""

    channels: tuple[int, ...]
    """Output channels of each convolution."""
    activation: str = "relu"
    """A key of `ACTIVATIONS`."""
    widths: tuple[int, ...] = ()
    """Units of the hidden layers behind the convolutions."""
    image: tuple[int, ...] | None = None
    """Shape of the observed image whose numbers a vector of features begins with; None for features that are one."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """Return the layers for images `(C, H, W)`, or for vectors that begin with one.

        Raises:
            RequestError: where there is no image in what is observed, or it is too small for so many convolutions.
        """
        convolutions, n_flat, n_beside = self._sizes(input_shape)
        layers: list[nn.Module] = [self._first()]
        for sizes in convolutions:
            layers += [_convolution(*sizes, GAINS[self.activation], generator), ACTIVATIONS[self.activation]()]
        layers.append(nn.Flatten())
        if n_beside:
            layers = [Beside(nn.Sequential(*layers), n_beside)]
        return nn.Sequential(*layers, *self._behind.build((n_flat + n_beside,), n_outputs, generator))

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""
        convolutions, n_flat, n_beside = self._sizes(input_shape)
        n_convolved = sum((n_in * kernel**2 + 1) * n_out for n_in, n_out, kernel, _ in convolutions)
        return n_convolved + self._behind.n_params((n_flat + n_beside,), n_outputs)

    @property
    def _behind(self) -> MLP:
        return MLP(self.widths, self.activation)

    def _first(self) -> nn.Module:
        """Return what makes an image to convolve: of bytes numbers, of a vector's numbers an image."""
        if self.image is None:
            return ScaleLayer()
        return ImageLayer(self.image, channels_last=not channels_first(self.image))

    def _sizes(self, input_shape: tuple[int, ...]) -> tuple[list[tuple[int, int, int, int]], int, int]:
        """Return (channels in, channels out, kernel, stride) of each convolution, and how many numbers come out.

        The last is how many numbers stand beside the image.
        """
        shape, n_beside = input_shape, 0
        if self.image is not None:
            rows, columns, n_channels = self.image
            shape = self.image if channels_first(self.image) else (n_channels, rows, columns)
            n_beside = math.prod(input_shape) - math.prod(shape)
        if len(shape) != 3:
            raise RequestError(
                f"expected images (arrays in three dimensions) for a cnn, found shape {input_shape}; use mlp"
            )
        found = []
        n_in, *size = shape
        for n_out in self.channels:
            kernel, stride = _kernel(min(size), shape)
            found.append((n_in, n_out, kernel, stride))
            n_in, size = n_out, [(length - kernel) // stride + 1 for length in size]
        return found, n_in * math.prod(size), n_beside


def _kernel(size: int, input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return kernel and stride for an image whose shorter side is `size`."""
    if size >= 64:
        return 8, 4
    if size >= 8:
        return 4, 2
    if size >= 3:
        return 3, 1
    raise RequestError(
        f"expected fewer convolutions: an image of shape {input_shape} has nothing left after the ones before"
    )


def _convolution(n_in: int, n_out: int, kernel: int, stride: int, gain: float, generator: torch.Generator) -> nn.Conv2d:
    with torch.random.fork_rng(devices=()):
        layer = nn.Conv2d(n_in, n_out, kernel, stride)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
