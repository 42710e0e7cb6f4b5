"""A decision tree as arrays: what it computes, and whether it is one. NumPy alone.

In: a layer's record and the named arrays. Out: a function from features `[B, D]` to the outputs `[B, P]` of the leaf
that each state falls into, or what else is asked of a tree.

    threshold    [S]     float32  a state goes left where the split's sum is at most this
    branches     [S, 2]  int32    left and right: a later split's number, or -1 - leaf
    feature      [S]     int32    the component that a split looks at
    leaves       [S+1, P] float32 outputs
    coefficient  [T]     float32  of oblique trees: `feature` [T] has its component, and split s the terms from
    start        [S+1]   int32    start[s] to start[s + 1]

Sums are float32, one term after another, so that every form of a tree takes the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

KEYS = ("threshold", "branches", "feature", "leaves")
OBLIQUE_KEYS = ("coefficient", "start")
INDICES = ("branches", "feature", "start")
"""Arrays of whole numbers, which are the tree's form and no parameters."""
DEEPEST = 64
"""Splits on the way to a leaf; C nests as many ifs."""


def tree(layer: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Any:
    """Return the function `[B, D]` to `[B, P]`."""
    threshold, branches, feature, leaves = (tensors[layer[k]] for k in ("threshold", "branches", "feature", "leaves"))
    n, coefficients = len(threshold), None
    terms = np.zeros((1, n + len(leaves)), np.intp)
    terms[0, :n] = feature[:n]
    if "coefficient" in layer:
        start = tensors[layer["start"]]
        counts = np.diff(start)
        terms = np.zeros((max([1, *counts]), n + len(leaves)), np.intp)
        coefficients = np.zeros(terms.shape, np.float32)
        split = np.repeat(np.arange(n), counts)
        place = np.arange(len(feature)) - start[split]
        terms[place, split], coefficients[place, split] = feature, tensors[layer["coefficient"]]
    # Leaves follow the splits, and lead to themselves.
    following = np.repeat(np.arange(n + len(leaves))[:, None], 2, axis=1)
    following[:n] = np.where(branches >= 0, branches, n - 1 - branches)
    depth = np.zeros(n + len(leaves), np.int64)
    for s in range(n):
        depth[following[s]] = depth[s] + 1
    bounds = np.concatenate([threshold, np.zeros(len(leaves), np.float32)])
    following, n_steps = following.ravel(), int(depth.max())

    def apply(x: np.ndarray) -> np.ndarray:
        flat, row = x.ravel(), np.arange(len(x)) * x.shape[1]
        node = np.zeros(len(x), np.intp)
        for _ in range(n_steps):
            total = flat[row + terms[0][node]]
            if coefficients is not None:
                total = total * coefficients[0][node]
                for k in range(1, len(terms)):
                    total = total + flat[row + terms[k][node]] * coefficients[k][node]
            # What is no number goes right.
            node = following[2 * node + ~(total <= bounds[node])]
        return leaves[node - n]

    return apply


@dataclass(frozen=True, eq=False)
class Tree:
    """A tree's arrays; see the top of this file."""

    threshold: np.ndarray
    branches: np.ndarray
    feature: np.ndarray
    leaves: np.ndarray
    coefficient: np.ndarray | None = None
    start: np.ndarray | None = None

    @classmethod
    def of(cls, layer: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Tree:
        """Return the tree that a layer's record names."""
        return cls(**{key: tensors[layer[key]] for key in (*KEYS, *OBLIQUE_KEYS) if key in layer})

    @property
    def n_splits(self) -> int:
        """Inner nodes, one fewer than leaves."""
        return len(self.threshold)

    @property
    def n_leaves(self) -> int:
        """Leaves."""
        return len(self.leaves)

    @property
    def is_oblique(self) -> bool:
        """True where splits weigh several components."""
        return self.coefficient is not None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by their keys."""
        return {key: value for key in (*KEYS, *OBLIQUE_KEYS) if (value := vars(self)[key]) is not None}

    def terms(self, split: int) -> list[tuple[int, float]]:
        """Return the components that a split looks at, and their coefficients."""
        if self.coefficient is None or self.start is None:
            return [(int(self.feature[split]), 1.0)]
        own = slice(self.start[split], self.start[split + 1])
        return [(int(f), float(c)) for f, c in zip(self.feature[own], self.coefficient[own], strict=True)]

    @cached_property
    def depths(self) -> np.ndarray:
        """Splits before each split, int64 `[S]`."""
        found = np.zeros(self.n_splits, np.int64)
        for split, pair in enumerate(self.branches):
            found[pair[pair >= 0]] = found[split] + 1
        return found

    @property
    def depth(self) -> int:
        """Splits on the longest way to a leaf."""
        return int(self.depths.max(initial=-1)) + 1

    @property
    def work(self) -> int:
        """Comparisons on the longest way to a leaf; of an oblique tree the products on the costliest."""
        cost = np.ones(self.n_splits, np.int64) if self.start is None else np.diff(self.start)
        total = np.zeros(self.n_splits, np.int64)
        for split, pair in enumerate(self.branches):
            total[split] += cost[split]
            total[pair[pair >= 0]] = total[split]
        return int(total.max(initial=0))

    def route(self, x: np.ndarray) -> np.ndarray:
        """Return the leaf, int64 `[B]`, that each row of features `[B, D]` falls into."""
        numbered = {**self.arrays(), "leaves": np.arange(self.n_leaves)}
        found: np.ndarray = tree({key: key for key in numbered}, numbered)(x)
        return found

    def check(self, n_features: int) -> None:
        """Check that the arrays are a tree over so many features.

        Raises:
            ValueError, IndexError, TypeError: where they are none: types, sizes, numbers out of range, or a node that
                no way or several lead to.
        """
        n = self.n_splits
        if any(array.dtype != (np.int32 if key in INDICES else np.float32) for key, array in self.arrays().items()):
            raise ValueError("a tree of arrays of another type")
        if self.threshold.shape != (n,) or self.branches.shape != (n, 2) or self.leaves.shape[:1] != (n + 1,):
            raise ValueError("a tree with arrays that do not fit each other")
        if self.leaves.ndim != 2 or not self._terms_fit(n):
            raise ValueError("a tree with arrays that do not fit each other")
        if self.feature.size and not 0 <= self.feature.min() <= self.feature.max() < n_features:
            raise ValueError("a split on what is not observed")
        expected = [*range(-n - 1, 0), *range(1, n)] if n else []
        if sorted(self.branches.ravel().tolist()) != expected:
            raise ValueError("a tree with nodes that no path or several paths reach")
        # What it leads to comes after their parent, so that no way leads back.
        if ((self.branches >= 0) & (self.branches <= np.arange(n)[:, None])).any():
            raise ValueError("a tree with a cycle")
        if self.depth > DEEPEST:
            raise ValueError(f"a tree of more than {DEEPEST} levels")

    def _terms_fit(self, n: int) -> bool:
        if self.coefficient is None or self.start is None:
            return self.coefficient is self.start and self.feature.shape == (n,)
        ends = self.start.shape == (n + 1,) and self.start[0] == 0 and self.start[-1] == len(self.feature)
        return ends and bool((np.diff(self.start) > 0).all()) and self.coefficient.shape == self.feature.shape


def single_leaf(outputs: np.ndarray, *, oblique: bool) -> Tree:
    """Return the tree without a split, which answers `outputs` `[P]` whatever it sees."""
    none, whole = np.zeros(0, np.float32), np.zeros(0, np.int32)
    terms = {"coefficient": none, "start": np.zeros(1, np.int32)} if oblique else {}
    return Tree(none, np.zeros((0, 2), np.int32), whole, np.asarray(outputs, np.float32)[None], **terms)
