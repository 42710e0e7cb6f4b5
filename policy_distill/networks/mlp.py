"""The multilayer perceptron: `mlp:32,32` has two hidden layers of 32; `linear` has none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from policy_distill.student.engines.torch_layers import ScaleLayer

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2)}
"""What keeps the variance of activations from layer to layer (as torch's `calculate_gain`)."""


@dataclass(frozen=True)
class MLP:
    """Hidden layers of the given widths, with one activation between them."""

    widths: tuple[int, ...]
    """Units of each hidden layer; empty for a linear policy."""
    activation: str = "tanh"
    """A key of `ACTIVATIONS`."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """Return the layers with orthogonal weights and zero biases, drawn from `generator`.

        The last layer is scaled by 0.01, so that the student starts near the uniform (or central) action.
        """
        sizes = [math.prod(input_shape), *self.widths]
        # An image comes as bytes in three dimensions.
        layers: list[nn.Module] = [ScaleLayer(), nn.Flatten()] if len(input_shape) > 1 else []
        for n_in, n_out in pairwise(sizes):
            layers += [make_linear(n_in, n_out, GAINS[self.activation], generator), self._activation()]
        layers.append(make_linear(sizes[-1], n_outputs, 0.01, generator))
        return nn.Sequential(*layers)

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""
        sizes = [math.prod(input_shape), *self.widths, n_outputs]
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))

    def _activation(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()


def make_linear(n_in: int, n_out: int, gain: float, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer with orthogonal weights of size `gain` and zero biases."""
    with torch.random.fork_rng(devices=()):
        # torch draws weights of its own from the global generator; `skip_init` draws none, but is slow to import.
        layer = nn.Linear(n_in, n_out)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
