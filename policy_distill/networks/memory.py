"""Networks with a memory: `gru:16+mlp:16` has a recurrent unit, `history:4+mlp:32` has what it saw last.

`history:4a+mlp:32` has what it did in between too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from policy_distill.errors import RequestError
from policy_distill.networks.mlp import MLP
from policy_distill.student.engines.torch_memory import GRULayer, HistoryLayer


@dataclass(frozen=True)
class Recurrent:
    """A gated recurrent unit that is told what changed as well, and a perceptron that takes its state.

    It could find that out by itself, but learns small differences slowly.
    """

    size: int
    """Units."""
    tail: MLP
    """What stands behind; by default no hidden layer."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """Return the layers for features `(D,)`; every gate has orthogonal weights, and zero biases.

        Raises:
            RequestError: for images.
        """
        n_in = vector_of(input_shape, "a gru")
        n_told = 2 * n_in
        layer = GRULayer(n_told, self.size)
        with torch.no_grad():
            for gate in layer.weight.split(self.size):
                for part in gate.split([n_told, self.size], dim=1):
                    part.copy_(nn.init.orthogonal_(torch.empty_like(part), generator=generator))
        return nn.Sequential(HistoryLayer(2), layer, *self.tail.build((self.size,), n_outputs, generator))

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""
        n_in = vector_of(input_shape, "a gru")
        return self.size * (3 * (2 * n_in + self.size) + 4) + self.tail.n_params((self.size,), n_outputs)


@dataclass(frozen=True)
class Stacked:
    """The last observations, as what is seen now and what changed at each step, and a perceptron that takes them.

    The actions between them stand behind them, where they are looked at.
    """

    steps: int
    """Observations, the newest among them."""
    tail: MLP
    """What stands behind."""
    n_actions: int = 0
    """Numbers of one action, of those between the observations; 0 where they are not looked at."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """Return the layers for features `(D,)`.

        Raises:
            RequestError: for images.
        """
        layer = HistoryLayer(self.steps, n_actions=self.n_actions, held=True)
        return nn.Sequential(layer, *self.tail.build((self._n_told(input_shape),), n_outputs, generator))

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""
        return self.tail.n_params((self._n_told(input_shape),), n_outputs)

    def _n_told(self, input_shape: tuple[int, ...]) -> int:
        return self.steps * vector_of(input_shape, "a history") + (self.steps - 1) * self.n_actions


def vector_of(input_shape: tuple[int, ...], words: str) -> int:
    """Return the length of a vector of features.

    Raises:
        RequestError: for images, which have three dimensions.
    """
    if len(input_shape) != 1:
        raise RequestError(f"expected vectors for {words}, found images of shape {input_shape}; use a cnn for images")
    return math.prod(input_shape)
