"""Forward and backward pass of many small networks at once, written out in NumPy.

In: one batch of features for all. Out: every member's outputs, and the gradient of its parameters.

The first layer of all is one product. A later one is a product for each member, made by one batched call for a group of
one width: a single product with a block-diagonal matrix costs more, and would let a member whose numbers are not finite
spoil all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_distill.training.population.layout import Blocks, Group, Layout

ONE = np.float32(1.0)


@dataclass(frozen=True)
class Link:
    """One layer of a group after its first, as views of weights and storage."""

    weight: np.ndarray
    """`[R, out, in]`."""
    below: np.ndarray
    """`[R, in, B]`: its inputs."""
    above: np.ndarray
    """`[R, out, B]`: its outputs, before any bias."""
    gradient_below: np.ndarray
    """`[R, in, B]`: what becomes of the gradient of its inputs."""
    columns: slice
    """The group's place among the members."""
    gradient_above: np.ndarray | None
    """`[R, out, B]`: the gradient of its outputs; None where they are those of the network."""


class PopulationPass:
    """Storage for one batch size, and what is computed in it; units are rows, the batch is last."""

    def __init__(self, layout: Layout, blocks: Blocks, n: int, squashed: bool) -> None:
        """Make room for batches of `n` through weights `blocks`; `squashed` members end in tanh."""
        sizes = layout.sizes
        self.n, self._layout, self._blocks, self._squashed = n, layout, blocks, squashed
        self._inputs = np.ones((n, sizes.n_features + 1), np.float32)
        self._units, self._gradients = ([np.empty((rows, n), np.float32) for rows in layout.heights] for _ in range(2))
        self._outputs = np.empty((sizes.n_params, len(layout.order), n), np.float32)
        self._means = self._outputs[: sizes.n_outputs]
        self._links = [self._links_from(level) for level in range(len(layout.heights))]

    def forward(self, features: np.ndarray) -> np.ndarray:
        """Return the distribution parameters `[P, K, B]` of features `[B, D]`, in the order of the layout."""
        layout, blocks, n_outputs = self._layout, self._blocks, self._layout.sizes.n_outputs
        self._inputs[:, :-1] = features
        np.matmul(blocks.first, self._inputs.T, out=self._units[0])
        for level, units in enumerate(self._units):
            if level:
                units += blocks.biases[level - 1]
            self._bend(level)
            for _, link in self._links[level]:
                _product(link.weight, link.below, link.above)
        self._means[:, : layout.n_deep] += blocks.output_biases
        linear = self._units[0][layout.n_bent[0] :].reshape(-1, n_outputs, self.n)
        self._means[:, layout.n_deep :] = linear.transpose(1, 0, 2)
        if self._squashed:
            np.tanh(self._means, out=self._means)
        self._outputs[n_outputs:] = blocks.log_std
        return self._outputs

    def backward(self, gradient: np.ndarray, gradients: Blocks) -> None:
        """Write the gradient of the parameters, summed over the batch, that follows from the outputs' `[P, K, B]`.

        What `forward` left in the units is used up, and `gradient` too.
        """
        layout, n_outputs = self._layout, self._layout.sizes.n_outputs
        gradient[n_outputs:].sum(axis=2, keepdims=True, out=gradients.log_std)
        gradient = gradient[:n_outputs]
        if self._squashed:
            gradient *= _of_tanh(self._means)
        gradient[:, : layout.n_deep].sum(axis=2, keepdims=True, out=gradients.output_biases)
        self._gradients[0][layout.n_bent[0] :] = gradient[:, layout.n_deep :].transpose(1, 0, 2).reshape(-1, self.n)
        for level in reversed(range(len(self._units))):
            for index, link in self._links[level]:
                above = _of(link.columns, gradient) if link.gradient_above is None else link.gradient_above
                np.matmul(above, link.below.transpose(0, 2, 1), out=gradients.weights[index][level])
                _product(link.weight.transpose(0, 2, 1), above, link.gradient_below)
            self._unbend(level)
            if level:
                self._gradients[level].sum(axis=1, keepdims=True, out=gradients.biases[level - 1])
        np.matmul(self._gradients[0], self._inputs, out=gradients.first)

    def _bend(self, level: int) -> None:
        units, n_tanh, n_bent = self._units[level], self._layout.n_tanh[level], self._layout.n_bent[level]
        np.tanh(units[:n_tanh], out=units[:n_tanh])
        np.maximum(units[n_tanh:n_bent], 0.0, out=units[n_tanh:n_bent])

    def _unbend(self, level: int) -> None:
        units, gradient = self._units[level], self._gradients[level]
        n_tanh, n_bent = self._layout.n_tanh[level], self._layout.n_bent[level]
        gradient[:n_tanh] *= _of_tanh(units[:n_tanh])
        gradient[n_tanh:n_bent] *= units[n_tanh:n_bent] > 0

    def _links_from(self, level: int) -> list[tuple[int, Link]]:
        """Return the layers that read the units of a level, each with the place of its group."""
        found = []
        for index, (group, weights) in enumerate(zip(self._layout.groups, self._blocks.weights, strict=True)):
            if level >= len(weights):
                continue
            below, gradient_below = (self._part(rows[level], group, level) for rows in (self._units, self._gradients))
            if level + 1 == len(weights):
                above = _of(group.columns, self._means)
                link = Link(weights[level], below, above, gradient_below, group.columns, None)
            else:
                above, gradient_above = (
                    self._part(rows[level + 1], group, level + 1) for rows in (self._units, self._gradients)
                )
                link = Link(weights[level], below, above, gradient_below, group.columns, gradient_above)
            found.append((index, link))
        return found

    def _part(self, rows: np.ndarray, group: Group, level: int) -> np.ndarray:
        """Return a group's part of a level, `[R, units, B]`."""
        return rows[group.rows[level]].reshape(len(group.members), -1, self.n)


def _of(columns: slice, outputs: np.ndarray) -> np.ndarray:
    """Return a group's part of outputs `[P, K, B]`, as `[R, P, B]`."""
    return outputs[:, columns].transpose(1, 0, 2)


def _of_tanh(units: np.ndarray) -> np.ndarray:
    """Return 1 - tanh², in the storage of tanh: it is not needed again."""
    np.multiply(units, units, out=units)
    return np.subtract(ONE, units, out=units)


def _product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Multiply batches of matrices; where the inner length is 1, BLAS has nothing to do and is slow at it."""
    (np.multiply if right.shape[1] == 1 else np.matmul)(left, right, out=out)
