"""What a student is, as its file holds it: arrays and a record. NumPy alone.

In: what was trained or read. Out: a `StudentRecord`, from which students act, train on and are exported; and apart from
it the critic that may travel beside, what its teacher held a state to be worth. That does not act, so it counts neither
among the student's parameters nor goes into what is exported; training goes on from it (`Student.to_sb3`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.student.action_check import require
from policy_distill.student.description import Description, NetworkSize
from policy_distill.student.layers import count_macs
from policy_distill.student.operations.operation import Layer, Tensors
from policy_distill.student.plan import Plan, read_plan
from policy_distill.student.view import View

CRITIC_PREFIX = "critic."
"""What the names of its arrays begin with."""
CRITIC_FORMAT = 4
"""The version of the file's format from which on there may be one: earlier ones refuse it, naming the version."""
ACTIVATIONS: dict[str, Any] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}


@dataclass(frozen=True, eq=False)
class StudentRecord:
    """Arrays and metadata that belong together; neither is to be changed."""

    tensors: dict[str, np.ndarray]
    """The parameters, float32, by name."""
    description: Description
    """All that the file says beside them: architecture, spaces, head, normalisation, provenance, retention."""

    @classmethod
    def of(cls, tensors: dict[str, np.ndarray], metadata: Mapping[str, Any]) -> StudentRecord:
        """Return the record of arrays and the JSON record of a file."""
        return cls(tensors, Description.from_json(metadata))

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The file's JSON record."""
        return self.description.to_json()

    @cached_property
    def plan(self) -> Plan:
        """What it computes."""
        return read_plan(self.tensors, self.description)

    @property
    def view(self) -> View:
        """What it sees of what its environment shows; `plan` takes that part alone."""
        return self.description.view

    @property
    def takes_action_masks(self) -> bool:
        """True where its environment rules out actions, and the teacher was told of it."""
        return self.description.takes_action_masks

    def without_monitor(self) -> StudentRecord:
        """Return the record of the same student, which no longer says what is novel."""
        if self.description.monitor is None:
            return self
        return StudentRecord(self.tensors, replace(self.description, monitor=None))

    def said_of(self, provenance: Mapping[str, Any], retention: Mapping[str, Any] | None) -> StudentRecord:
        """Return the record of the same student that comes from elsewhere, or was proven to keep something else."""
        return self.with_weights(self.tensors, provenance, retention)

    def with_weights(
        self, tensors: dict[str, np.ndarray], provenance: Mapping[str, Any], retention: Mapping[str, Any] | None
    ) -> StudentRecord:
        """Return the record of the same student with other weights, of the same names and shapes.

        What the student computes is not read again: it stays as it is. A monitor would be of another student.
        """
        said = (self if tensors is self.tensors else self.without_monitor()).description
        if (said.provenance, said.retention) != (provenance, retention):
            said = replace(said, provenance=provenance, retention=retention)
        other = StudentRecord(tensors, said)
        # Where `cached_property` looks for what is known.
        vars(other).update(plan=replace(self.plan, tensors=tensors))
        return other


def format_of(said: Description) -> int:
    """Return the oldest version of the file's format that says all that a student is.

    That is 3 for a tree and for one with a memory or that makes an image of a vector's numbers, and 2 for what was
    slimmed.
    """
    architecture = said.architecture
    ops = {layer["op"] for layer in architecture.layers}
    if ops & {"image", "tree"} or architecture.memory is not None:
        return 3
    return 2 if said.head.reference or architecture.log_std == "dropped" or "select" in ops else 1


def sizes_of(layers: Sequence[Layer], tensors: Tensors) -> NetworkSize:
    """Return what a record's architecture says of a student's size.

    Of a tree, thresholds, coefficients and what leaves hold are parameters; which component a split looks at and where
    it leads is its form, which takes bytes alone.
    """
    return NetworkSize(
        n_params=sum(array.size for array in tensors.values() if array.dtype.kind == "f"),
        n_bytes=sum(array.nbytes for array in tensors.values()),
        macs=count_macs(layers, tensors),
    )


def with_all_logits(record: StudentRecord) -> dict[str, np.ndarray]:
    """Return the arrays with an output of the network for every logit, those of 0 included that are left out."""
    head, end = record.plan.head, record.plan.layers[-1]
    if end["op"] == "tree":
        return {**record.tensors, end["leaves"]: head.all_rows(record.tensors[end["leaves"]].T).T.copy()}
    last = [layer for layer in record.plan.layers if "weight" in layer][-1:]
    rows = {one[key]: head.all_rows(record.tensors[one[key]]) for one in last for key in ("weight", "bias")}
    return {**record.tensors, **rows}


@dataclass(frozen=True, eq=False)
class CriticRecord:
    """Layers from a student's features to one number."""

    tensors: dict[str, np.ndarray]
    """Float32, by names that begin with `CRITIC_PREFIX`."""
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

    def summary(self) -> dict[str, Any]:
        """Return what is said of it: how large it is, beside the student, and the discount of its values."""
        return {"n_params": self.n_params, "discount": self.metadata["discount"]}

    def values(self, features: np.ndarray) -> np.ndarray:
        """Return values `[B]`, in the environment's own units of reward, of a student's features `[B, D]`."""
        x = np.asarray(features, np.float32)
        for layer in self.metadata["layers"]:
            if layer["op"] == "linear":
                x = x @ self.tensors[layer["weight"]].T + self.tensors[layer["bias"]]
            else:
                x = ACTIVATIONS[layer["op"]](x)
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
    own = {name: array for name, array in tensors.items() if not name.startswith(CRITIC_PREFIX)}
    found = CriticRecord({name: tensors[name] for name in tensors if name not in own}, dict(metadata["critic"]))
    _check_critic(found, metadata["architecture"]["input_shape"])
    return own, {key: value for key, value in metadata.items() if key != "critic"}, found


def with_critic(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any], critic: CriticRecord | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the record of a file: of a student, and of its critic where it has one."""
    if critic is None:
        return dict(tensors), dict(metadata)
    return {**tensors, **critic.tensors}, {**metadata, "critic": critic.metadata, "format_version": CRITIC_FORMAT}


def _check_critic(critic: CriticRecord, input_shape: Any) -> None:
    """What is trained on from it takes these layers for granted."""
    require(len(input_shape) == 1, "a critic of no vector")
    expected, size = set(), input_shape[0]
    require(isinstance(critic.metadata["layers"], list), "a critic without layers")
    for layer in critic.metadata["layers"]:
        if layer["op"] == "linear":
            weight, bias = critic.tensors[layer["weight"]], critic.tensors[layer["bias"]]
            require(weight.ndim == 2 and weight.shape[1] == size, "a critic with layers that do not follow each other")
            size = len(weight)
            require(bias.shape == (size,), "a critic with layers that do not follow each other")
            expected |= {layer["weight"], layer["bias"]}
        else:
            require(layer["op"] in ACTIVATIONS, "a critic of an unknown activation")
    require(size == 1 and expected == set(critic.tensors), "a critic of other layers")
    for array in critic.tensors.values():
        require(array.dtype == np.float32 and bool(np.isfinite(array).all()), "a critic that is not finite float32")
    discount = critic.metadata["discount"]
    require(discount is None or (type(discount) is float and 0 < discount <= 1), "a critic of an unknown discount")
