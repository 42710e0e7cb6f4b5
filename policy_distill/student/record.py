"""What a student is, as its file holds it: arrays and a record. NumPy alone.

In: what was trained or read. Out: a `StudentRecord`, from which students act, train on and are exported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.student.layers import count_macs
from policy_distill.student.plan import Plan, read_plan
from policy_distill.student.view import View, read_view


@dataclass(frozen=True, eq=False)
class StudentRecord:
    """Arrays and metadata that belong together; neither is to be changed."""

    tensors: dict[str, np.ndarray]
    """The parameters, float32, by name."""
    metadata: dict[str, Any]
    """The file's JSON record: architecture, spaces, head, normalisation, provenance, retention."""

    @cached_property
    def plan(self) -> Plan:
        """What it computes."""
        return read_plan(self.tensors, self.metadata)

    @cached_property
    def view(self) -> View:
        """What it sees of what its environment shows; `plan` takes that part alone."""
        return read_view(self.metadata)

    @property
    def takes_action_masks(self) -> bool:
        """True where its environment rules out actions, and the teacher was told of it."""
        return bool(self.metadata.get("takes_action_masks", False))

    def with_weights(
        self, tensors: dict[str, np.ndarray], provenance: dict[str, Any], retention: dict[str, Any] | None
    ) -> StudentRecord:
        """Return the record of the same student with other weights, of the same names and shapes.

        Its metadata is not read again: what the student computes, and what it sees, stays as it is.
        """
        other = StudentRecord(tensors, {**self.metadata, "provenance": provenance, "retention": retention})
        # Where `cached_property` looks for what is known.
        vars(other).update(plan=replace(self.plan, tensors=tensors), view=self.view)
        return other


def format_of(metadata: Mapping[str, Any]) -> int:
    """Return the oldest version of the file's format that says all that a student is.

    That is 3 for a tree and for one with a memory or that makes an image of a vector's numbers, and 2 for what was
    slimmed.
    """
    architecture, head = metadata["architecture"], metadata.get("head", {})
    ops = {layer["op"] for layer in architecture["layers"]}
    if ops & {"image", "tree"} or "memory" in architecture:
        return 3
    return 2 if head.get("reference", False) or architecture["log_std"] == "dropped" or "select" in ops else 1


def sizes_of(layers: list[dict[str, Any]], tensors: dict[str, np.ndarray]) -> dict[str, int]:
    """Return what a record's architecture says of a student's size: parameters, bytes, multiply-accumulates.

    Of a tree, thresholds, coefficients and what leaves hold are parameters; which component a split looks at and where
    it leads is its form, which takes bytes alone.
    """
    return {
        "n_params": sum(array.size for array in tensors.values() if array.dtype.kind == "f"),
        "n_bytes": sum(array.nbytes for array in tensors.values()),
        "macs": count_macs(layers, tensors),
    }


def with_all_logits(record: StudentRecord) -> dict[str, np.ndarray]:
    """Return the arrays with an output of the network for every logit, those of 0 included that are left out."""
    head, end = record.plan.head, record.plan.layers[-1]
    if end["op"] == "tree":
        return {**record.tensors, end["leaves"]: head.all_rows(record.tensors[end["leaves"]].T).T.copy()}
    last = [layer for layer in record.plan.layers if "weight" in layer][-1:]
    rows = {one[key]: head.all_rows(record.tensors[one[key]]) for one in last for key in ("weight", "bias")}
    return {**record.tensors, **rows}
