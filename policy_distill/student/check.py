"""Checks that a student's record and arrays make a policy, before anything is built from them. NumPy alone.

In: what a file holds; its checksum says that it is whole, not that it is honest. Out: nothing, or an error. Whatever
costs memory or time when acting is bounded by what the file itself has.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RunFault, one_line
from policy_distill.student.action_check import (
    Shape,
    check_actions,
    check_head,
    check_space,
    numbers_in,
    require,
    whole_numbers,
)
from policy_distill.student.actions import ActionFeatures, ActionMap
from policy_distill.student.layers import array_names, layer_shapes
from policy_distill.student.memory import memory_of
from policy_distill.student.onboard.monitor import read_monitor
from policy_distill.student.onboard.names import n_components
from policy_distill.student.operations.table import OPERATIONS, find_operation
from policy_distill.student.pixels import check_images, images_of
from policy_distill.student.record import sizes_of
from policy_distill.student.spaces import SpaceRecord, example_of
from policy_distill.student.view import read_view
from policy_distill.system.records import dump

Tensors = Mapping[str, np.ndarray]


def check_student(record: Mapping[str, Any], tensors: Tensors) -> None:
    """Check a student's record.

    Raises:
        ValueError: saying what does not fit.
        KeyError, TypeError, IndexError, AttributeError: for a record that lacks something or holds another type.
    """
    layers = record["architecture"]["layers"]
    require(all(isinstance(layer["op"], str) for layer in layers), "a layer of a kind without a name")
    whole = {*array_names(layers, indices=True)} - {"log_std", *array_names(layers, indices=False)}
    _check_weights({name: array for name, array in tensors.items() if name not in whole})
    check_space(record["observation_space"], nested=True)
    check_space(record["action_space"], nested=False)
    head = check_head(record)
    check_actions(record["action_post_processing"], record["action_space"], head)
    architecture = record["architecture"]
    require(architecture["activation"] in OPERATIONS, "an unknown activation")
    if architecture["log_std"] == "vector":
        require(tensors["log_std"].shape == (head.n_modes,), "log σ has another shape than the actions")
    shape = whole_numbers(architecture["input_shape"])
    check_images(record)
    _check_view(record)
    features = _feature_shape(record["observation_space"], images_of(record))
    require(shape == features, "the network takes other features than are observed")
    for layer in layers:
        operation = find_operation(layer["op"])
        require(("weight" in layer) == operation.has_weights, "a layer with weights that it has not")
        require("beside" not in layer or whole_numbers([layer["beside"]]) != (), "no numbers beside a layer")
    *_, (_, shape) = layer_shapes(architecture["layers"], tensors, shape)
    action_map = ActionMap.from_json(record["action_post_processing"])
    taken = ActionFeatures(head.choices, action_map)
    _check_memory(architecture, tensors, features, taken)
    monitor = read_monitor(record)
    require(monitor is None or monitor.fits(math.prod(features), taken.n), "a monitor of another student")
    require(shape == (head.n_outputs,), f"the network has outputs {shape}, its head needs {head.n_outputs}")
    _check_specification(architecture["spec"], layers, sum(array.size for array in tensors.values()))
    sizes = dump(sizes_of(layers, dict(tensors)))
    require({key: architecture[key] for key in sizes} == sizes, f"{', '.join(sizes)} that are not its own")
    _check_words(record)


def check_writable(student: Any) -> None:
    """Check that a student's file could be loaded again.

    Raises:
        RunFault: saying what no student file can hold.
    """
    try:
        check_student(student.metadata, student.tensors)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise RunFault(f"no file can hold a student for this teacher: {one_line(str(error))}") from error


def check_read_back(
    path: Path, load: Callable[[Path, str], Any], act: Callable[[Any], Any], space: SpaceRecord
) -> None:
    """Load a student file that was just written and act once, as whoever deploys it will.

    Args:
        path: the file.
        load: `load_student`.
        act: what the student does that was written.
        space: its observation space, as described.

    Raises:
        RunFault: where it does not load, or acts otherwise.
    """
    obs = example_of(space)
    expected = act(obs)
    try:
        found = load(path, "numpy").act(obs)
    except ValueError as error:
        words = one_line(str(error).replace(str(path), "it"))
        raise RunFault(f"expected a student file that loads, but {words}; nothing was written") from error
    if not np.array_equal(found, expected):
        raise RunFault(f"expected a file that acts as the student, found {found} for {expected}; nothing was written")


def _check_view(record: Mapping[str, Any]) -> None:
    """What is taken out of a whole observation must be there, and be what the student takes."""
    view = read_view(record)
    if view.wrapper is not None:
        entry_point, kwargs = view.wrapper["entry_point"], view.wrapper["kwargs"]
        right = isinstance(entry_point, str) and len(entry_point) <= 200 and isinstance(kwargs, dict)
        require(right and all(isinstance(key, str) for key in kwargs), "a wrapper of an unknown form")
    if view.whole is None:
        return
    check_space(view.whole, nested=True)
    if view.labels:
        require(all(isinstance(label, str) for label in view.labels), "names of components that are not text")
        require(len(view.labels) == n_components(view.whole), "names of other components")
    for key, columns in view.components.items():
        size = n_components(view.whole["spaces"][key] if key else view.whole)
        rising = all(type(column) is int for column in columns) and list(columns) == sorted(set(columns))
        require(size is not None and bool(columns) and rising, "components of no vector, or in no order")
        require(0 <= columns[0] and columns[-1] < (size or 0), "components that are not there")
    require(view.space == record["observation_space"], "another part of its observations than it takes")


def _check_weights(tensors: Tensors) -> None:
    """A policy that divides by what is no number acts at random; engines and exporters take float32 for granted."""
    for name, array in tensors.items():
        require(array.dtype == np.float32, f"weights {name[:40]!r} of {array.dtype}, expected float32")
        require(bool(np.isfinite(array).all()), f"weights {name[:40]!r} that are not finite")


def _feature_shape(space: Any, images: tuple[str, ...] = ()) -> Shape:
    """As `observations.Featurizer` makes them."""
    kind = space["type"]
    if kind == "Dict":
        return (sum(math.prod(_feature_shape(sub)) for sub in space["spaces"].values()),)
    if "" in images:
        first, *rest = space["shape"]
        return (first, *rest) if first == min(space["shape"]) else (rest[1], first, rest[0])
    if kind == "Discrete":
        return (space["n"],)
    return (int(np.sum(space["nvec"])),) if kind == "MultiDiscrete" else (numbers_in(space),)


def _check_memory(architecture: Mapping[str, Any], tensors: Tensors, features: Shape, taken: ActionFeatures) -> None:
    """What acts makes room for what the record says is remembered, and hosts hand that over."""
    memory = memory_of(architecture["layers"], tensors, features)
    if memory.awaited is not None:
        n = memory.awaited.stop - memory.awaited.start
        require(n == taken.n, f"actions remembered by {n} numbers, where they have {taken.n}")
    require(architecture.get("memory") == memory.record(), "a memory of other layers")
    # A history needs no weights of its own: several on end would be as large as one likes. What follows one has some.
    n_numbers = sum(array.size for array in tensors.values())
    require(memory.size <= n_numbers, f"a memory larger than its weights, of {memory.size} numbers")


def _check_specification(spec: Any, layers: list[Any], n_numbers: int) -> None:
    """A network is made anew from its specification when it trains on; it must not be larger than what was saved.

    A tree is not: its specification has the leaves that it might have had.
    """
    require(isinstance(spec, str) and len(spec) <= 200, "a specification that is not a short text")
    if layers[-1]["op"] == "tree":
        return
    widths = [int(width) for width in re.findall(r"\d{1,9}", spec)]
    products = [first * second for first, second in pairwise(widths)]
    require(max([0, *widths, *products]) <= n_numbers, f"the specification {spec[:40]!r} is larger than its weights")


def _check_words(record: Mapping[str, Any]) -> None:
    """What is only said of a student is printed and written to other files, as strict JSON and as UTF-8."""
    words = {key: value for key, value in record.items() if key != "action_post_processing"}
    json.dumps(words, allow_nan=False, ensure_ascii=False).encode()
    require(isinstance(record.get("takes_action_masks", False), bool), "action masks neither taken nor not")
    require(isinstance(record["retention"], dict | None), "a retention that is not a record")
    provenance = record["provenance"]
    wrappers = provenance.get("env_wrappers", [])
    require(isinstance(provenance, dict) and isinstance(wrappers, list), "a provenance of an unknown form")
    for spec in wrappers:
        require(isinstance(spec["name"], str) and isinstance(spec["kwargs"], dict), "a wrapper of an unknown form")
