"""The best tree of so many leaves for some labelled states.

In: states and targets. Out: nodes. Grown beyond what is wanted and pruned back to it, then refined; leaves that
refining empties are grown again.
"""

from __future__ import annotations

import numpy as np

from policy_distill.training.trees.grow import grow, prune_leaves
from policy_distill.training.trees.node import Data, Node
from policy_distill.training.trees.refine import refine

BEYOND = {False: 6, True: 2}
"""Leaves grown for each that stays, by whether splits are oblique."""
PASSES = 3
"""Of refinement, at most, after each growing."""
AGAIN = 2
"""Times that a tree is grown and pruned."""


def fit_tree(data: Data, n_leaves: int, *, oblique: bool) -> Node:
    """Return the root of a tree of at most `n_leaves`."""
    root = Node(np.arange(len(data.x)))
    for _ in range(AGAIN):
        grow(root, data, max(BEYOND[oblique] * n_leaves, 8), oblique=oblique)
        prune_leaves(root, data, n_leaves)
        refine(root, data, PASSES, oblique=oblique)
    return root
