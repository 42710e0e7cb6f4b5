"""Where the parameters of many small networks lie in one flat vector.

In: the members' shapes. Out: blocks for products of matrices, and the place of each number in a member's own order.

Members with the same widths and activation are a group, so that one batched product serves them all; groups with tanh
come first, then those with ReLU, then members without a hidden layer, so that each activation is one call a level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

ACTIVATIONS = ("tanh", "relu", "")
"""In the order of their rows; networks without a hidden layer have none."""


@dataclass(frozen=True)
class Slot:
    """The shape of one network, and where its parameters begin in the vector of all members, one after another."""

    widths: tuple[int, ...]
    """Units of each hidden layer; empty for a linear policy."""
    activation: str
    """One of `ACTIVATIONS`."""
    start: int
    """Its parameters lie as in `DenseStep`: layer by layer, the bias a column, log σ last."""


@dataclass(frozen=True)
class Sizes:
    """What all members share."""

    n_features: int
    n_outputs: int
    n_log_std: int
    """Length of the vector log σ; 0 without one."""

    @property
    def n_params(self) -> int:
        """Distribution parameters of one member, `P`."""
        return self.n_outputs + self.n_log_std

    def shapes(self, widths: Sequence[int]) -> list[tuple[int, int]]:
        """Return the shape of each layer's weights, the bias a column."""
        return [(n_out, n_in + 1) for n_in, n_out in pairwise((self.n_features, *widths, self.n_outputs))]

    def count(self, widths: Sequence[int]) -> int:
        """Return a member's parameters."""
        return sum(math.prod(shape) for shape in self.shapes(widths)) + self.n_log_std


@dataclass(frozen=True)
class Group:
    """Members with the same widths and activation."""

    widths: tuple[int, ...]
    activation: str
    members: tuple[int, ...]
    """Their numbers in the population."""
    columns: slice
    """Their places among all outputs."""
    rows: tuple[slice, ...]
    """Their units among all units of each level; a linear member's outputs are rows of the first level."""

    def part(self, level: int, rank: int) -> slice:
        """Return the rows of one member."""
        rows, n = self.rows[level], len(self.members)
        height = (rows.stop - rows.start) // n
        return slice(rows.start + rank * height, rows.start + (rank + 1) * height)


@dataclass(frozen=True)
class Blocks:
    """Views of one flat vector."""

    first: np.ndarray
    """`[H, D + 1]`: the first layer of all members, the bias a column."""
    weights: list[list[np.ndarray]]
    """Of each group, `[R, out, in]` of each later layer."""
    biases: list[np.ndarray]
    """`[H, 1]` of the hidden layers of each later level."""
    output_biases: np.ndarray
    """`[O, K, 1]` of the members with a hidden layer, which come first."""
    log_std: np.ndarray
    """`[n_log_std, K, 1]`."""


class Layout:
    """The order of the members that take part, and where each of their parameters lies."""

    def __init__(self, sizes: Sizes, members: Sequence[Slot], active: Sequence[int]) -> None:
        self.sizes = sizes
        self.groups = _groups(sizes, members, active)
        self.order = np.array([number for group in self.groups for number in group.members])
        """int64 `[K]`: numbers of the members, in the order of the outputs."""
        levels = range(max(len(group.rows) for group in self.groups))
        self.heights = [_end(self.groups, level) for level in levels]
        """Rows of each level."""
        bent = [group for group in self.groups if group.widths]
        self.n_bent = [_end(bent, level) for level in levels]
        """Rows of each level with an activation; a linear member's outputs follow them."""
        self.n_tanh = [_end([group for group in bent if group.activation == "tanh"], level) for level in levels]
        """Rows of each level with tanh, which come first."""
        self.n_deep = sum(len(group.members) for group in bent)
        """Members with a hidden layer."""
        self.n = sum(sizes.count(members[number].widths) for number in self.order)
        """Length of the flat vector."""
        self.places = self._places(members)
        """int64 `[n]`: where each number lies in the vector of all members, one after another."""
        starts = np.array([members[number].start for number in self.order])
        ranks = np.argsort(starts)
        self.owners = ranks[np.searchsorted(starts[ranks], self.places, side="right") - 1]
        """int64 `[n]`: whose each number is, as a place in `order`."""

    def blocks(self, flat: np.ndarray) -> Blocks:
        """Return views of a vector `[n]`."""
        start = 0

        def take(*shape: int) -> np.ndarray:
            nonlocal start
            start += math.prod(shape)
            return flat[start - math.prod(shape) : start].reshape(shape)

        sizes, n_members = self.sizes, len(self.order)
        return Blocks(
            first=take(self.heights[0], sizes.n_features + 1),
            weights=[
                [take(len(g.members), n_out, n_in) for n_in, n_out in pairwise((*g.widths, sizes.n_outputs))]
                for g in self.groups
            ],
            biases=[take(height, 1) for height in self.heights[1:]],
            output_biases=take(sizes.n_outputs, self.n_deep, 1),
            log_std=take(sizes.n_log_std, n_members, 1),
        )

    def _places(self, members: Sequence[Slot]) -> np.ndarray:
        places = np.empty(self.n, np.int64)
        blocks = self.blocks(places)
        for group, weights in zip(self.groups, blocks.weights, strict=True):
            for rank, number in enumerate(group.members):
                start, column = members[number].start, group.columns.start + rank
                for level, shape in enumerate(self.sizes.shapes(group.widths)):
                    own = np.arange(start, start + math.prod(shape)).reshape(shape)
                    start += own.size
                    if level == 0:
                        blocks.first[group.part(0, rank)] = own
                        continue
                    weights[level - 1][rank] = own[:, :-1]
                    if level < len(group.widths):
                        blocks.biases[level - 1][group.part(level, rank)] = own[:, -1:]
                    else:
                        blocks.output_biases[:, column] = own[:, -1:]
                blocks.log_std[:, column, 0] = np.arange(start, start + self.sizes.n_log_std)
        return places


def _groups(sizes: Sizes, members: Sequence[Slot], active: Sequence[int]) -> list[Group]:
    alike: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for number in sorted(active):
        member = members[number]
        alike.setdefault((ACTIVATIONS.index(member.activation), member.widths), []).append(number)
    groups, column, tops = [], 0, [0] * max(1, *(len(widths) for _, widths in alike))
    for (kind, widths), numbers in sorted(alike.items()):
        rows = []
        for level, width in enumerate(widths or (sizes.n_outputs,)):
            rows.append(slice(tops[level], tops[level] + width * len(numbers)))
            tops[level] = rows[-1].stop
        columns = slice(column, column + len(numbers))
        groups.append(Group(widths, ACTIVATIONS[kind], tuple(numbers), columns, tuple(rows)))
        column = columns.stop
    return groups


def _end(groups: Sequence[Group], level: int) -> int:
    """Return the row after the last of these groups."""
    return max((group.rows[level].stop for group in groups if level < len(group.rows)), default=0)
