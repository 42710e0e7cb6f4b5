"""One observation down a decision tree, in plain Python: a few comparisons cost less than one call of NumPy.

In: a `Plan` of a tree on a vector's raw numbers. Out: a function from an observation to its executed action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy_distill.student.engines.single import by_name, refusal
from policy_distill.student.plan import Plan
from policy_distill.student.tree import Tree


def make_tree_act(plan: Plan) -> Callable[[Any], Any]:
    """Return the function from one raw observation to its executed deterministic action.

    Sums of oblique splits have more digits here than float32, in which batches are computed.
    """
    tree = Tree.of(plan.layers[-1], plan.tensors)
    shape = plan.featurizer.parts[0].shape
    walk = _oblique(plan, tree) if tree.is_oblique else _axis_parallel(plan, tree)
    actions = plan.actions(tree.leaves)
    hand_out = list(actions).__getitem__ if plan.is_choice else lambda leaf: actions[leaf].copy()
    as_array, single, flat = np.asarray, np.float32, len(shape) == 1

    def act(obs: Any) -> Any:
        try:
            x = as_array(obs, single)
        except (TypeError, ValueError):
            return act(by_name(plan, obs))
        if x.shape != shape:
            raise refusal(plan, obs)
        return hand_out(walk(x.tolist() if flat else x.ravel().tolist()))

    return act


def _axis_parallel(plan: Plan, tree: Tree) -> Callable[[list[float]], int]:
    columns = np.arange(plan.featurizer.shape[0]) if plan.selected is None else plan.selected
    thresholds, (lefts, rights) = tree.threshold.tolist(), tree.branches.T.tolist()
    nodes = list(zip(columns[tree.feature].tolist(), thresholds, lefts, rights, strict=True))

    def walk(x: list[float]) -> int:
        node = 0 if nodes else -1
        while node >= 0:
            feature, threshold, left, right = nodes[node]
            node = left if x[feature] <= threshold else right
        return -1 - node

    return walk


def _oblique(plan: Plan, tree: Tree) -> Callable[[list[float]], int]:
    columns = np.arange(plan.featurizer.shape[0]) if plan.selected is None else plan.selected
    thresholds, (lefts, rights) = tree.threshold.tolist(), tree.branches.T.tolist()
    terms = [tuple((int(columns[f]), c) for f, c in tree.terms(split)) for split in range(tree.n_splits)]
    nodes = list(zip(terms, thresholds, lefts, rights, strict=True))

    def walk(x: list[float]) -> int:
        node = 0 if nodes else -1
        while node >= 0:
            own, threshold, left, right = nodes[node]
            total = 0.0
            for feature, coefficient in own:
                total += coefficient * x[feature]
            node = left if total <= threshold else right
        return -1 - node

    return walk
