"""Growing a tree leaf by leaf, the one first that gains most; and pruning it by what a leaf is worth.

In: a tree, and labelled states. Out: the same tree with more leaves, or fewer.

CART (Breiman et al. 1984): growing far beyond what is wanted and pruning back to it by cost and complexity finds splits
that pay only together. Questions about sums begin as the best one about a component, and are fitted to the sides that
states then belong to.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

import numpy as np

from policy_distill.student.tree import DEEPEST
from policy_distill.training.trees.node import Data, Node, Split, explained
from policy_distill.training.trees.split import axis_split, oblique_split, variance_score

LEAST_STATES = 5
"""In a leaf."""
ROUNDS = 3
"""Times that the sides of a sum are fitted anew."""

Found = tuple[float, int, Node, Split]
"""A split that waits: less its gain, its turn, the leaf."""


def grow(root: Node, data: Data, n_leaves: int, *, oblique: bool) -> None:
    """Split leaves, the one first that gains most, until there are `n_leaves` or nothing can be gained."""
    heap: list[Found] = []
    turns, open_, n = count(), root.leaves, len(root.leaves)
    while n < n_leaves:
        for leaf in open_:
            _consider(leaf, data, heap, turns, oblique)
        if not heap:
            return
        _, _, leaf, split = heapq.heappop(heap)
        leaf.divide(split, data.x)
        open_, n = leaf.sides, n + 1


def _consider(leaf: Node, data: Data, heap: list[Found], turns: Iterator[int], oblique: bool) -> None:
    if len(leaf.rows) < 2 * LEAST_STATES or leaf.level >= DEEPEST - 1:
        return
    found = best_split(leaf, data, oblique=oblique)
    if found is not None and found[1] > 1e-9:
        split, gain = found
        left = int(split.left(data.x[leaf.rows]).sum())
        if 0 < left < len(leaf.rows):
            heapq.heappush(heap, (-gain, next(turns), leaf, split))


def best_split(node: Node, data: Data, *, oblique: bool) -> tuple[Split, float] | None:
    """Return the question that divides a leaf's states best, and what it explains more."""
    x, values, weights = data.x[node.rows], data.targets.values[node.rows], data.targets.weights[node.rows]
    score, width = variance_score(values, weights), 3
    best = axis_split(x, score, LEAST_STATES, width)
    if best is None or not oblique:
        return best
    split, gain = best
    best = Split(split.features, np.ones(1, np.float32), split.threshold), gain
    left = split.left(x)
    for _ in range(ROUNDS):
        means = [np.average(values[side], axis=0, weights=weights[side]) for side in (left, ~left)]
        losses = [weights * ((values - mean) ** 2).sum(axis=1) for mean in means]
        found = oblique_split(x, score, losses[0] - losses[1], LEAST_STATES, width)
        # A sum of several is another question only where it explains more than one alone.
        if found is None or found[1] <= best[1] * 1.01:
            break
        best = found
        left = best[0].left(x)
        if left.all() or not left.any():
            break
    return best


def prune_leaves(root: Node, data: Data, n_leaves: int) -> None:
    """Close the weakest splits, by what each of their leaves explains, until there are `n_leaves` at most."""
    nodes = list(root.walk())
    place = {id(node): number for number, node in enumerate(nodes)}
    above = {place[id(side)]: number for number, node in enumerate(nodes) for side in node.sides}
    own = np.array([explained(node, data) for node in nodes])
    below, count = own.copy(), np.ones(len(nodes), np.int64)
    for number in reversed(range(len(nodes))):
        sides = [place[id(side)] for side in nodes[number].sides]
        if sides:
            below[number], count[number] = below[sides].sum(), count[sides].sum()
    worth = np.full(len(nodes), np.inf)
    inner = count > 1
    worth[inner] = (below - own)[inner] / (count - 1)[inner]
    while count[0] > n_leaves:
        weakest = int(np.argmin(worth))
        worth[[place[id(node)] for node in nodes[weakest].walk()]] = np.inf
        nodes[weakest].close()
        lost, fewer = below[weakest] - own[weakest], count[weakest] - 1
        below[weakest], count[weakest] = own[weakest], 1
        while (weakest := above.get(weakest, -1)) >= 0:
            below[weakest] -= lost
            count[weakest] -= fewer
            worth[weakest] = (below[weakest] - own[weakest]) / (count[weakest] - 1)
