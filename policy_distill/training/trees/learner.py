"""Who makes trees: grown anew from all labelled states as these become more.

In: a buffer of labelled states. Out: a `tree:32`, or an `oblique_tree:16`, of at most so many leaves.

The states come from the student's own episodes, the teacher labels them, and all are kept: DAgger (Ross et al. 2011) as
VIPER (Bastani et al. 2018) uses it to extract trees.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.student.engines.torch_tree import TreeLayer
from policy_distill.student.pixels import image_keys
from policy_distill.student.runtime import Student
from policy_distill.student.tree import KEYS, OBLIQUE_KEYS, Tree, single_leaf
from policy_distill.training.buffer import Buffer
from policy_distill.training.learner import named
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.schedule import Moment
from policy_distill.training.spec import StudentSpec
from policy_distill.training.trees.fit import fit_tree
from policy_distill.training.trees.node import Data, leaf_numbers, to_tree
from policy_distill.training.trees.raw import RawNumbers
from policy_distill.training.trees.targets import Goal

MOST_LEAVES = 4096
MOST_STATES = 100_000
"""That one tree is grown on; of more, as many are drawn."""
MOST_MEASURED = 4_096
"""On which the divergence is measured."""
SHARE_NEW = 0.2
"""Of the states, how many must be new for a tree to be grown again."""
MOST_OBLIQUE = 64
"""Components of an observation that a sum may have."""


class TreeLearner:
    """Grows a tree of all states, again and again."""

    n_recoveries = 0

    def __init__(
        self, spec: StudentSpec, loss: Loss, config: DistillConfig, teacher_params: torch.Tensor | None = None
    ) -> None:
        """Make the student, which is a single leaf until it has learnt."""
        self.kind, self.n_leaves = parse_tree(spec.network)
        self.oblique = self.kind == "oblique_tree"
        self.n_params(spec)
        self._raw = RawNumbers(spec.featurizer)
        # A tree reads raw numbers: what it asks is then in the observation's own units, and no rounding of statistics
        # stands between an observation and a threshold.
        self._spec = replace(spec, normalizer=None)
        self._goal = Goal(spec.head, spec.action_map, spec.family.has_log_std, sharp=self.oblique)
        self._loss = loss
        self._fresh = 0
        leaf = np.zeros(spec.n_outputs, np.float32)
        self._policy = self._made(single_leaf(leaf, oblique=self.oblique))
        if teacher_params is not None:
            self._policy.start_at(teacher_params.cpu())

    @staticmethod
    def check(network: str, activation: str) -> None:
        """Check a specification.

        Raises:
            RequestError: for one without a number of leaves, or with one that no tree has.
        """
        parse_tree(network)

    @staticmethod
    def columns(network: str) -> tuple[str, ...]:
        """Return what the buffer is to keep beside features and labels: nothing."""
        return ()

    @staticmethod
    def n_params(spec: StudentSpec) -> int:
        """Return how many parameters the tree has at most.

        Raises:
            RequestError: for images, or too many numbers for an oblique tree.
        """
        kind, n_leaves = parse_tree(spec.network)
        size = math.prod(spec.featurizer.shape)
        if image_keys(spec.observation_space):
            raise RequestError(
                f"expected vectors to grow {spec.network} on, found images; use cnn:16,32, or leave images out with "
                "--observe"
            )
        if kind == "oblique_tree" and size > MOST_OBLIQUE:
            raise RequestError(
                f"expected at most {MOST_OBLIQUE} numbers in an observation for {spec.network}, found {size}; use tree"
            )
        each = size + 1 if kind == "oblique_tree" else 1
        return (n_leaves - 1) * each + n_leaves * spec.n_outputs + (spec.n_outputs if spec.log_std == "vector" else 0)

    @property
    def policy(self) -> StudentPolicy:
        """The student as it is now; what is grown later is another."""
        return self._policy

    def learn(self, buffer: Buffer, moment: Moment) -> dict[str, float]:
        """Grow a tree of all that is stored, where enough of it is new, or it is the last; return what was measured."""
        self._fresh += moment.n_new
        if self._fresh >= SHARE_NEW * buffer.n_learnt or moment.after >= 1.0:
            self._grow(buffer, moment.seed)
            self._fresh = 0
        return self._measured(buffer, moment.seed)

    @torch.no_grad()
    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return the student's distribution parameters `[B, P]` for features `[B, D]`, on the device of these."""
        return self._policy.params(torch.from_numpy(self._raw(features.cpu().numpy()))).to(features.device)

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the student that acts, as it is now."""
        return Student.of(self._policy.to_record(provenance or {}, retention))

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the tree, and log σ where it has one."""
        return {name: value.detach().clone() for name, value in self._policy.state_dict().items()}

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Give the student another tree.

        Raises:
            ValueError: where that is of another student: it has more leaves, other outputs or observations.
        """
        arrays = {name: np.array(value.cpu().numpy()) for name, value in weights.items()}
        own = self._policy.tensors()
        keys = KEYS + (OBLIQUE_KEYS if self.oblique else ())
        if set(arrays) != set(own):
            raise ValueError("a tree of another kind")
        tree = Tree(**{key: arrays[f"network.0.{key}"] for key in keys})
        tree.check(math.prod(self._spec.featurizer.shape))
        if tree.n_leaves > self.n_leaves or tree.leaves.shape[1] != self._spec.n_outputs:
            raise ValueError("a tree of another student")
        self._policy = self._made(tree, torch.from_numpy(arrays["log_std"]) if "log_std" in arrays else None)

    def gradients(self) -> dict[str, np.ndarray]:
        """Return nothing: there are none."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        """Return all that what it learns next depends on, but for the buffer."""
        tensors = {f"student.{name}": array for name, array in self._policy.tensors().items()}
        return {**tensors, "training.fresh": np.array([self._fresh])}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, KeyError: where that is of another student.
        """
        own = named(tensors, "student.")
        self.set_weights({name: torch.from_numpy(array.copy()) for name, array in own.items()})
        self._fresh = int(tensors["training.fresh"][0])

    def _made(self, tree: Tree, log_std: torch.Tensor | None = None) -> StudentPolicy:
        policy = StudentPolicy(self._spec, torch.Generator(), nn.Sequential(TreeLayer(tree)))
        if policy.log_std is not None and log_std is not None:
            policy.log_std.data.copy_(log_std)
        return policy

    def _grow(self, buffer: Buffer, seed: int) -> None:
        drawn = _drawn(buffer, MOST_STATES, seed)
        features, params = drawn.features.cpu().numpy(), drawn.teacher_params.cpu().numpy()
        targets = self._goal.targets(params)
        x = self._raw(features)
        root = fit_tree(Data(x, targets), self.n_leaves, oblique=self.oblique)
        leaf = leaf_numbers(root, len(x))
        outputs = self._goal.outputs(params, targets, leaf, len(root.leaves))
        log_std = None
        if self._policy.log_std is not None:
            log_std = torch.from_numpy(self._goal.log_std(params, leaf, outputs))
        self._policy = self._made(to_tree(root, outputs, oblique=self.oblique), log_std)

    @torch.no_grad()
    def _measured(self, buffer: Buffer, seed: int) -> dict[str, float]:
        """Return the mean divergence on stored states, and the leaves that the tree has."""
        drawn = _drawn(buffer, MOST_MEASURED, seed)
        found = self._loss(drawn, Outputs(self._spec.family, self.params(drawn.features)))
        leaves = self._policy.state_dict()["network.0.leaves"]
        return {"train/loss": float(found.mean()), "model/leaves": float(len(leaves))}


def _drawn(buffer: Buffer, most: int, seed: int) -> Batch:
    """Return all that is stored, or as many of its states, drawn without replacement."""
    rows = buffer.rows()
    if len(rows) > most:
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:most].sort().values]
    columns = {name: column.cpu()[rows] for name, column in buffer.columns.items()}
    return Batch(buffer.features.get(rows).cpu(), columns.pop("teacher_params"), columns)


def parse_tree(network: str) -> tuple[str, int]:
    """Return the kind and the leaves of a specification."""
    found = re.fullmatch(r"(tree|oblique_tree):(\d{1,6})", network)
    if found is None or not 2 <= int(found[2]) <= MOST_LEAVES:
        raise RequestError(
            f"expected tree:32 or oblique_tree:16, with 2 to {MOST_LEAVES} leaves at most, found {network!r}"
        )
    return found[1], int(found[2])
