"""The largest tree that a specification may become: what it costs at most, before anything is learnt.

In: a specification. Out: a student of so many leaves, whose answers mean nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from policy_distill.student.engines.torch_tree import TreeLayer
from policy_distill.student.tree import Tree
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from policy_distill.training.trees.learner import TreeLearner, parse_tree


def largest_tree(spec: StudentSpec) -> StudentPolicy:
    """Return a balanced tree of as many leaves as may be, whose oblique splits look at all that is observed.

    Raises:
        RequestError: as of `TreeLearner.n_params`.
    """
    TreeLearner.n_params(spec)
    kind, n_leaves = parse_tree(spec.network)
    n, size = n_leaves - 1, math.prod(spec.featurizer.shape)
    below = 2 * np.arange(n)[:, None] + np.array([1, 2])
    branches = np.where(below < n, below, n - 1 - below).astype(np.int32)
    terms = {}
    n_terms = size if kind == "oblique_tree" else 1
    if kind == "oblique_tree":
        terms["coefficient"] = np.ones(n * size, np.float32)
        terms["start"] = (size * np.arange(n + 1)).astype(np.int32)
    feature = np.tile(np.arange(n_terms, dtype=np.int32), n)
    leaves = np.zeros((n_leaves, spec.n_outputs), np.float32)
    tree = Tree(np.zeros(n, np.float32), branches, feature, leaves, **terms)
    return StudentPolicy(replace(spec, normalizer=None), torch.Generator(), nn.Sequential(TreeLayer(tree)))
