"""A decision tree in PyTorch: its form is fixed, and what its leaves hold can be trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from policy_distill.student.engines.torch_layers import OwnLayer
from policy_distill.student.tree import Tree


class TreeLayer(OwnLayer):
    """From features `[B, D]` to the outputs `[B, P]` of a leaf each."""

    threshold: torch.Tensor
    branches: torch.Tensor
    feature: torch.Tensor
    terms: torch.Tensor
    factors: torch.Tensor
    following: torch.Tensor

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self._keys = tuple(tree.arrays())
        for key, array in tree.arrays().items():
            if key != "leaves":
                self.register_buffer(key, torch.from_numpy(np.array(array)))
        self.leaves = nn.Parameter(torch.from_numpy(np.array(tree.leaves)))
        self.n_splits, self.depth, self.oblique = tree.n_splits, tree.depth, tree.is_oblique
        # Leaves follow the splits, and lead to themselves; none of this is kept, since it follows from the rest.
        n, n_nodes = tree.n_splits, tree.n_splits + tree.n_leaves
        following = np.repeat(np.arange(n_nodes)[:, None], 2, axis=1)
        following[:n] = np.where(tree.branches >= 0, tree.branches, n - 1 - tree.branches)
        terms = [tree.terms(split) for split in range(n)]
        padded = np.zeros((2, max([1, *map(len, terms)]), n_nodes))
        for split, own in enumerate(terms):
            padded[:, : len(own), split] = np.array(own).T
        bounds = np.concatenate([tree.threshold, np.zeros(tree.n_leaves, np.float32)])
        for name, array in {
            "following": following,
            "terms": padded[0].astype(np.int64),
            "factors": padded[1].astype(np.float32),
            "bounds": bounds,
        }.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the leaves."""
        node = torch.zeros_like(x[:, 0], dtype=torch.int64)
        bounds: torch.Tensor = self.get_buffer("bounds")
        for _ in range(self.depth):
            total = self._term(x, node, 0)
            for k in range(1, len(self.terms)):
                total = total + self._term(x, node, k)
            right = (~(total <= bounds[node])).to(torch.int64)
            node = self.following[node, right]
        return self.leaves[node - self.n_splits]

    def _term(self, x: torch.Tensor, node: torch.Tensor, k: int) -> torch.Tensor:
        value = x.gather(1, self.terms[k][node].unsqueeze(1)).squeeze(1)
        return value * self.factors[k][node] if self.oblique else value

    def record(self, prefix: str) -> dict[str, Any]:
        """Return the layer's record."""
        return {"op": "tree", **{key: f"{prefix}{key}" for key in self._keys}}
