"""What a student computes, read once from its file: features, layers, distribution, executed action. NumPy alone.

In: the arrays and the record of a student file. Out: a `Plan`, which engines run and exporters write down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.student.actions import ActionFeatures, ActionMap
from policy_distill.student.description import Description
from policy_distill.student.features import Featurizer, Normalizer
from policy_distill.student.head import Head
from policy_distill.student.memory import Memory, memory_of
from policy_distill.student.onboard.wiring import NOTHING, Wiring
from policy_distill.student.operations.operation import Layer


@dataclass(frozen=True)
class Plan:
    """A student's computation: raw observations → features → layers → the head's mode → the executed action."""

    featurizer: Featurizer
    """From raw observations to features `[B, D]`, or images `[B, C, H, W]` of bytes."""
    layers: list[Layer]
    """Records of the layers, as of `policy_distill.student.operations`."""
    tensors: Mapping[str, np.ndarray]
    """The arrays that the layers name."""
    head: Head
    """What the outputs mean."""
    log_std: str | None
    """Where log σ comes from: `vector`, `head`, `dropped` (kept by no one), or None for what has none."""
    action_map: ActionMap
    """From the head's action to the executed one."""
    wiring: Wiring = NOTHING
    """What its numbers are called."""

    @property
    def normalizer(self) -> Normalizer | dict[str, Normalizer] | None:
        """The observation statistics that the features are made with."""
        return self.featurizer.normalizer

    @property
    def n_outputs(self) -> int:
        """Outputs of the network: logits, means, or means and then log σ."""
        return self.head.n_outputs

    @property
    def is_choice(self) -> bool:
        """True where the action is one index, as of a Discrete space."""
        return self.head.kind == "argmax" and len(self.head.sizes) == 1 and self.action_map.shape == ()

    @property
    def samples(self) -> bool:
        """True where there is something to draw from: an action without spread is always the same."""
        return self.head.is_discrete or self.head.extra > 0 or self.log_std == "vector"

    @property
    def n_weights(self) -> int:
        """Numbers in the layers."""
        return sum(self.tensors[layer[key]].size for layer in self.layers for key in ("weight", "bias") if key in layer)

    @property
    def is_perceptron(self) -> bool:
        """True for linear layers and activations on a vector, or some of its components: what every engine can do."""
        vector = self.featurizer.space["type"] in ("Box", "MultiBinary") and not self.featurizer.is_image
        layers = self.layers if self.selected is None else self.layers[1:]
        return vector and all(layer["op"] in ("linear", "tanh", "relu") for layer in layers)

    @property
    def is_tree(self) -> bool:
        """True for a tree on the raw numbers of a vector, or of some of its components."""
        vector = self.featurizer.space["type"] in ("Box", "MultiBinary") and not self.featurizer.is_image
        layers = self.layers if self.selected is None else self.layers[1:]
        return vector and self.normalizer is None and [layer["op"] for layer in layers] == ["tree"]

    @cached_property
    def memory(self) -> Memory:
        """What it carries from step to step, of no size for one that acts by what it sees now."""
        return memory_of(self.layers, self.tensors, self.featurizer.shape)

    @cached_property
    def taken(self) -> ActionFeatures:
        """The numbers that an executed action is remembered by."""
        return ActionFeatures(self.head.choices, self.action_map)

    def remember(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Write executed actions `[B, *shape]` into the states `[B, n]` that follow them, where they are remembered.

        Returns:
            the same states, changed in place.
        """
        if self.memory.awaited is not None:
            state[:, self.memory.awaited] = self.taken(actions)
        return state

    @cached_property
    def is_remembering_perceptron(self) -> bool:
        """True for a perceptron behind a history, a recurrent unit or both: what quick ways of acting can do too."""
        first, parts = int(self.layers[0]["op"] == "select"), self.memory.parts
        kinds, behind = tuple(part.kind for part in parts), first + len(parts)
        if kinds not in (("history",), ("gru",), ("history", "gru")) or parts[-1].place != behind - 1:
            return False
        others = [*self.layers[:first], *self.layers[behind:]]
        return others[first]["op"] == "linear" and replace(self, layers=others).is_perceptron

    @cached_property
    def selected(self) -> np.ndarray | None:
        """The components that the first layer selects, int64; None where it looks at all."""
        first = self.layers[0]
        return np.asarray(first["columns"], np.int64) if first["op"] == "select" else None

    def actions(self, outputs: np.ndarray, action_masks: Any = None) -> np.ndarray:
        """Return the executed deterministic actions `[B, *shape]` for outputs of the network `[B, n_outputs]`."""
        scores = self.head.scores(outputs)
        if action_masks is not None:
            scores = self.head.rule_out(scores, action_masks)
        return self.action_map.execute(self.head.mode(scores))


def read_plan(tensors: Mapping[str, np.ndarray], said: Description) -> Plan:
    """Return the plan that a student's arrays and description hold."""
    return Plan(
        featurizer=Featurizer(said.observation_space, said.normalizer, said.images),
        layers=said.architecture.layers,
        tensors=tensors,
        head=said.head,
        log_std=said.architecture.log_std,
        action_map=said.action_map,
        wiring=said.wiring,
    )
