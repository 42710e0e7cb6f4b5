"""A tree while it grows: nodes that know the states that fall into them.

In: states, what they are fitted to. Out: nodes that are split, pruned and refined, and at last the arrays of a `Tree`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from policy_distill.student.tree import Tree
from policy_distill.training.trees.targets import Targets


@dataclass(frozen=True)
class Data:
    """Labelled states that a tree grows on."""

    x: np.ndarray
    """float32 `[N, D]`, raw numbers of the observation."""
    targets: Targets


@dataclass(frozen=True)
class Split:
    """A question: is the sum of coefficients times components at most the threshold?"""

    features: np.ndarray
    """int `[T]`."""
    coefficients: np.ndarray | None
    """float32 `[T]`; None of an axis-parallel split, which looks at one component as it is."""
    threshold: np.float32

    def left(self, x: np.ndarray) -> np.ndarray:
        """Return bool `[B]`: which rows of `x` `[B, D]` go left; in float32 and in order, as `tree` does it."""
        total = x[:, self.features[0]]
        if self.coefficients is not None:
            total = total * self.coefficients[0]
            for feature, coefficient in zip(self.features[1:], self.coefficients[1:], strict=True):
                total = total + x[:, feature] * coefficient
        return np.asarray(total <= self.threshold)


@dataclass(eq=False)
class Node:
    """A leaf, or a split with what lies on its two sides."""

    rows: np.ndarray
    """Numbers of the states that fall into it."""
    level: int = 0
    split: Split | None = None
    sides: list[Node] = field(default_factory=list)
    """Left and right; nothing of a leaf."""

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, parents first."""
        open_ = [self]
        while open_:
            node = open_.pop()
            yield node
            open_ += reversed(node.sides)

    @property
    def leaves(self) -> list[Node]:
        """All leaves at or below it."""
        return [node for node in self.walk() if node.split is None]

    def divide(self, split: Split, x: np.ndarray) -> None:
        """Make it a split with two leaves."""
        left = split.left(x[self.rows])
        self.split = split
        self.sides = [Node(self.rows[left], self.level + 1), Node(self.rows[~left], self.level + 1)]

    def close(self) -> None:
        """Make it a leaf."""
        self.split, self.sides = None, []

    def become(self, other: Node) -> None:
        """Take another node's place in the tree that this one has: its split, and what is below."""
        self.split, self.sides = other.split, other.sides
        for node in self.walk():
            for side in node.sides:
                side.level = node.level + 1

    def assign(self, rows: np.ndarray, x: np.ndarray) -> None:
        """Let other states fall into it and what is below; where one side stays empty, the other takes its place."""
        self.rows = rows
        while self.split is not None:
            left = self.split.left(x[rows])
            if left.any() and not left.all():
                self.sides[0].assign(rows[left], x)
                self.sides[1].assign(rows[~left], x)
                return
            self.become(self.sides[0 if left.any() else 1])


def sums(node: Node, data: Data) -> tuple[float, np.ndarray]:
    """Return the weight of a node's states, and the weighted sum `[K]` of their targets."""
    weights = data.targets.weights[node.rows].astype(np.float64)
    return float(weights.sum()), weights @ data.targets.values[node.rows]


def explained(node: Node, data: Data) -> float:
    """Return what a leaf in place of a node explains: the squares of its targets less their distance from the mean."""
    weight, total = sums(node, data)
    return float(total @ total / max(weight, 1e-12))


def leaf_numbers(root: Node, n: int) -> np.ndarray:
    """Return the number, in the order of `leaves`, of the leaf that each of `n` states falls into."""
    found = np.zeros(n, np.int64)
    for number, leaf in enumerate(root.leaves):
        found[leaf.rows] = number
    return found


def to_tree(root: Node, outputs: np.ndarray, *, oblique: bool) -> Tree:
    """Return the arrays of a tree whose leaves hold `outputs` `[L, P]`, in the order of `leaves`."""
    nodes = list(root.walk())
    inner = [node for node in nodes if node.split is not None]
    number = {id(node): place for place, node in enumerate(inner)}
    number |= {id(leaf): -1 - place for place, leaf in enumerate(root.leaves)}
    splits = [node.split for node in inner if node.split is not None]
    terms: dict[str, np.ndarray] = {}
    if oblique:
        coefficients = [one.coefficients for one in splits if one.coefficients is not None]
        terms["coefficient"] = np.concatenate([np.zeros(0), *coefficients]).astype(np.float32)
        terms["start"] = np.cumsum([0, *(len(one.features) for one in splits)]).astype(np.int32)
    branches = np.array([[number[id(side)] for side in node.sides] for node in inner], np.int32).reshape(-1, 2)
    feature = np.concatenate([np.zeros(0), *(one.features for one in splits)]).astype(np.int32)
    threshold = np.array([one.threshold for one in splits], np.float32)
    return Tree(threshold, branches, feature, np.asarray(outputs, np.float32), **terms)
