"""The critic that may travel beside a student: what its teacher held a state to be worth. NumPy alone.

In: a student's file. Out: arrays of their own and a record, apart from the student's. It does not act, so it counts
neither among the student's parameters nor goes into what is exported; training goes on from it (`Student.to_sb3`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.student.action_check import require

PREFIX = "critic."
"""What the names of its arrays begin with."""
FORMAT = 4
"""The version of the file's format from which on there may be one: earlier ones refuse it, naming the version."""
OPERATIONS: dict[str, Any] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}


@dataclass(frozen=True, eq=False)
class CriticRecord:
    """Layers from a student's features to one number."""

    tensors: dict[str, np.ndarray]
    """Float32, by names that begin with `PREFIX`."""
    metadata: dict[str, Any]
    """JSON values: `layers`, as a student's; `discount`, what a reward one step later counts for, or None."""

    @property
    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights and biases of its linear layers."""
        linear = [layer for layer in self.metadata["layers"] if layer["op"] == "linear"]
        return [(self.tensors[layer["weight"]], self.tensors[layer["bias"]]) for layer in linear]

    @property
    def n_params(self) -> int:
        """Its parameters, none of which acts."""
        return sum(array.size for array in self.tensors.values())

    def values(self, features: np.ndarray) -> np.ndarray:
        """Return values `[B]`, in the environment's own units of reward, of a student's features `[B, D]`."""
        x = np.asarray(features, np.float32)
        for layer in self.metadata["layers"]:
            if layer["op"] == "linear":
                x = x @ self.tensors[layer["weight"]].T + self.tensors[layer["bias"]]
            else:
                x = OPERATIONS[layer["op"]](x)
        found: np.ndarray = x[:, 0]
        return found


def split_critic(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any], CriticRecord | None]:
    """Return the arrays and the record of a student alone, and the critic of its file where there is one.

    Raises:
        ValueError, KeyError, TypeError, IndexError: where that is none.
    """
    if "critic" not in metadata:
        return dict(tensors), dict(metadata), None
    own = {name: array for name, array in tensors.items() if not name.startswith(PREFIX)}
    found = CriticRecord({name: tensors[name] for name in tensors if name not in own}, dict(metadata["critic"]))
    _check_critic(found, metadata["architecture"]["input_shape"])
    return own, {key: value for key, value in metadata.items() if key != "critic"}, found


def with_critic(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any], critic: CriticRecord | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the record of a file: of a student, and of its critic where it has one."""
    if critic is None:
        return dict(tensors), dict(metadata)
    return {**tensors, **critic.tensors}, {**metadata, "critic": critic.metadata, "format_version": FORMAT}


def _check_critic(critic: CriticRecord, input_shape: Any) -> None:
    """What is trained on from it takes these layers for granted."""
    require(len(input_shape) == 1, "a critic of no vector")
    expected, size = set(), input_shape[0]
    require(isinstance(critic.metadata["layers"], list), "a critic without layers")
    for layer in critic.metadata["layers"]:
        if layer["op"] == "linear":
            weight, bias = critic.tensors[layer["weight"]], critic.tensors[layer["bias"]]
            require(weight.ndim == 2 and weight.shape[1] == size, "a critic whose layers do not follow each other")
            size = len(weight)
            require(bias.shape == (size,), "a critic whose layers do not follow each other")
            expected |= {layer["weight"], layer["bias"]}
        else:
            require(layer["op"] in OPERATIONS, "a critic of an unknown activation")
    require(size == 1 and expected == set(critic.tensors), "a critic of other layers")
    for array in critic.tensors.values():
        require(array.dtype == np.float32 and bool(np.isfinite(array).all()), "a critic that is no finite float32")
    discount = critic.metadata["discount"]
    require(discount is None or (type(discount) is float and 0 < discount <= 1), "a critic of an unknown discount")
