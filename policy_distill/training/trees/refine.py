"""Refining the splits of a tree whose form stands: each is asked anew, given what lies below it.

In: a tree and labelled states. Out: the same tree, or a smaller one, that explains more.

Tree alternating optimisation (Carreira-Perpiñán and Tavallali 2018): from the bottom up, a state belongs on the side
whose leaf, further down, is nearer to its target; the split that sends most of that cost the right way replaces the old
one where it saves anything. Squares of distances from leaves never grow.
"""

from __future__ import annotations

import numpy as np

from policy_distill.training.trees.node import Data, Node, Split, sums
from policy_distill.training.trees.split import axis_split, oblique_split, side_score

ENOUGH = 1e-3
"""Of the cost, what a pass must save for another one to follow."""


def refine(root: Node, data: Data, passes: int, *, oblique: bool) -> None:
    """Ask every split anew, from the bottom up, so many times at most."""
    cost = np.inf
    for _ in range(passes):
        before, cost = cost, _pass(root, data, oblique)
        if not cost < before * (1 - ENOUGH):
            return


def _pass(root: Node, data: Data, oblique: bool) -> float:
    """Make one pass and return what the tree cost before it."""
    means = {}
    for leaf in root.leaves:
        weight, total = sums(leaf, data)
        means[id(leaf)] = total / max(weight, 1e-12)
    cost = float(_losses(root, root.rows, data, means).sum())
    for node in reversed([node for node in root.walk() if node.split is not None]):
        if node.split is None or not len(node.rows):
            continue
        losses = [_losses(side, node.rows, data, means) for side in node.sides]
        better = _better(node, data.x[node.rows], losses[0] - losses[1], oblique)
        if better is not None:
            node.split = better
            _send(node, data.x)
    root.assign(root.rows, data.x)
    return cost


def _better(node: Node, x: np.ndarray, apart: np.ndarray, oblique: bool) -> Split | None:
    """Return a split that saves more than the node's own, where states lose `apart` more on the left."""
    assert node.split is not None
    saved = -float(apart[node.split.left(x)].sum())
    score = side_score(apart)
    found = axis_split(x, score, 1, 1)
    if oblique:
        if found is not None:
            found = Split(found[0].features, np.ones(1, np.float32), found[0].threshold), found[1]
        other = oblique_split(x, score, apart, 1, 1)
        if other is not None and (found is None or other[1] > found[1]):
            found = other
    if found is None:
        return None
    # Counted as it will be computed, and not as it was found.
    left = found[0].left(x)
    gained = -float(apart[left].sum()) - saved
    return found[0] if gained > 1e-9 * np.abs(apart).sum() and left.any() and not left.all() else None


def _losses(node: Node, rows: np.ndarray, data: Data, means: dict[int, np.ndarray]) -> np.ndarray:
    """Return what each state would lose in the leaf that it falls into below a node."""
    found = np.zeros(len(rows))
    open_ = [(node, np.arange(len(rows)))]
    while open_:
        at, places = open_.pop()
        if at.split is None:
            apart = data.targets.values[rows[places]] - means[id(at)]
            found[places] = data.targets.weights[rows[places]] * (apart**2).sum(axis=1)
            continue
        left = at.split.left(data.x[rows[places]])
        open_ += [(at.sides[0], places[left]), (at.sides[1], places[~left])]
    return found


def _send(node: Node, x: np.ndarray) -> None:
    """Send the states of a node down again; sides may stay empty until the pass is over."""
    open_ = [node]
    while open_:
        at = open_.pop()
        if at.split is not None:
            left = at.split.left(x[at.rows])
            at.sides[0].rows, at.sides[1].rows = at.rows[left], at.rows[~left]
            open_ += at.sides
