"""Checks that a student's record and arrays make a policy, before anything is built from them. NumPy alone.

In: what a file holds; its checksum says that it is whole, not that it is honest. Out: nothing, or an error. Whatever
costs memory or time when acting is bounded by what the file itself has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from policy_distill.actions import KINDS
from policy_distill.layers import OPS

MAX_SIZE = 2**24
"""Numbers in one observation or action."""
MAX_PATCHES = 2**28
"""Numbers in the patches that a convolution takes out of one image."""
DTYPES = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split())

Shape = tuple[int, ...]
Tensors = Mapping[str, np.ndarray]


def check_student(record: Mapping[str, Any], tensors: Tensors) -> None:
    """Check a student's record.

    Raises:
        ValueError: saying what does not fit.
        KeyError, TypeError, IndexError, AttributeError: for a record that lacks something or holds another type.
    """
    _check_space(record["observation_space"], nested=True)
    _check_space(record["action_space"], nested=False)
    _check_actions(record["action_post_processing"], _size(record["action_space"]))
    architecture = record["architecture"]
    n_outputs = _n_outputs(record["distribution"])
    if architecture["log_std"] == "vector":
        n_outputs //= 2
        _require(tensors["log_std"].shape == (n_outputs,), "log σ has another shape than the actions")
    shape = _whole_numbers(architecture["input_shape"])
    _require(shape == _feature_shape(record["observation_space"]), "the network takes other features than are observed")
    for layer in architecture["layers"]:
        _require(layer["op"] in OPS, f"a layer of the unknown kind {str(layer['op'])[:40]!r}")
        shape = SHAPES[layer["op"]](layer, tensors, shape)
    _require(shape == (n_outputs,), f"the network has outputs {shape}, its distribution needs {n_outputs}")
    _check_specification(architecture["spec"], sum(array.size for array in tensors.values()))
    _require(isinstance(architecture["n_params"], int), "n_params is no whole number")
    _check_provenance(record["provenance"])


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _whole_numbers(values: Any, least: int = 1) -> Shape:
    _require(isinstance(values, list | tuple), "expected a list of whole numbers")
    _require(all(type(value) is int and least <= value <= MAX_SIZE for value in values), "a size is out of range")
    _require(len(values) <= 8 and math.prod(values) <= MAX_SIZE, "a shape is too large")
    return tuple(values)


def _check_space(space: Any, *, nested: bool) -> None:
    kind = space["type"]
    _require(space.get("dtype", "int64") in DTYPES, "a space of an unknown dtype")
    if kind == "Dict":
        _require(nested and isinstance(space["spaces"], dict) and bool(space["spaces"]), "a Dict space in another one")
        for sub in space["spaces"].values():
            _check_space(sub, nested=False)
    elif kind == "Box":
        _whole_numbers(space["shape"])
        for bound in (space["low"], space["high"]):
            _require(np.size(_numbers(bound)) in (1, _size(space)), "bounds of another shape than their space")
    elif kind == "Discrete":
        _whole_numbers([space["n"]])
        _check_start(space["start"], ())
    elif kind == "MultiDiscrete":
        nvec = np.asarray(space["nvec"])
        _require(nvec.dtype.kind == "i" and nvec.size > 0 and nvec.min() > 0 and nvec.max() <= MAX_SIZE, "no such nvec")
        _require(int(nvec.sum()) <= MAX_SIZE, "an nvec of too many choices")
        _check_start(space["start"], nvec.shape)
    elif kind == "MultiBinary":
        _whole_numbers([space["n"]] if isinstance(space["n"], int) else space["n"])
    else:
        raise ValueError(f"a space of the unknown type {str(kind)[:40]!r}")


def _numbers(values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    _require(not np.isnan(array).any(), "a bound that is no number")
    return array


def _check_start(start: Any, shape: Shape) -> None:
    array = np.asarray(start)
    _require(array.dtype.kind == "i" and array.shape in ((), shape), "a start that is no whole number")
    _require(bool((np.abs(array) < 2**40).all()), "a start out of range")


def _size(space: Any) -> int:
    """Numbers in one element of a space."""
    kind = space["type"]
    if kind == "Box":
        return math.prod(space["shape"])
    if kind == "MultiBinary":
        return math.prod([space["n"]] if isinstance(space["n"], int) else space["n"])
    return np.size(space["nvec"]) if kind == "MultiDiscrete" else 1


def _feature_shape(space: Any) -> Shape:
    """As `observations.Featurizer` makes them."""
    kind = space["type"]
    if kind == "Dict":
        return (sum(math.prod(_feature_shape(sub)) for sub in space["spaces"].values()),)
    if kind == "Box" and space["dtype"] == "uint8" and len(space["shape"]) == 3:
        first, *rest = space["shape"]
        return (first, *rest) if first == min(space["shape"]) else (rest[1], first, rest[0])
    if kind == "Discrete":
        return (space["n"],)
    return (int(np.sum(space["nvec"])),) if kind == "MultiDiscrete" else (_size(space),)


def _check_actions(values: Any, size: int) -> None:
    shape, kind = _whole_numbers(values["shape"]), values["kind"]
    _require(kind in KINDS and values["dtype"] in DTYPES, "actions of an unknown kind or dtype")
    _require(math.prod(shape) == size, "actions of another shape than their space")
    for bound in (values["low"], values["high"]):
        _require((bound is None) == (kind in ("index", "none")), "bounds of actions are missing, or have no use")
        _require(bound is None or _numbers(bound).shape == (size,), "bounds of actions of another shape")
    _check_start(values["start"], shape)


def _n_outputs(distribution: Any) -> int:
    """Parameters of a family as a file names it."""
    family, config = distribution["family"], distribution["config"]
    if family == "multi_categorical":
        return sum(_whole_numbers(config["nvec"]))
    (size,) = _whole_numbers([config["n" if family in ("categorical", "bernoulli") else "dim"]])
    factors = {"categorical": 1, "bernoulli": 1, "deterministic": 1, "diagonal_gaussian": 2, "squashed_gaussian": 2}
    return size * factors[family]


def _check_specification(spec: Any, n_numbers: int) -> None:
    """A network is made anew from its specification when it trains on; it must not be larger than what was saved."""
    _require(isinstance(spec, str) and len(spec) <= 200, "a specification that is no short text")
    widths = [int(width) for width in re.findall(r"\d{1,9}", spec)]
    products = [first * second for first, second in pairwise(widths)]
    _require(max([0, *widths, *products]) <= n_numbers, f"the specification {spec[:40]!r} is larger than its weights")


def _check_provenance(provenance: Any) -> None:
    wrappers = provenance.get("env_wrappers", [])
    _require(isinstance(provenance, dict) and isinstance(wrappers, list), "a provenance of an unknown form")
    for spec in wrappers:
        _require(isinstance(spec["name"], str) and isinstance(spec["kwargs"], dict), "a wrapper of an unknown form")


def _linear(layer: Any, tensors: Tensors, shape: Shape) -> Shape:
    weight, bias = tensors[layer["weight"]], tensors[layer["bias"]]
    n_out = weight.shape[0]
    _require(weight.shape == (n_out, *shape) and bias.shape == (n_out,), "a linear layer does not fit what it takes")
    return (n_out,)


def _conv2d(layer: Any, tensors: Tensors, shape: Shape) -> Shape:
    weight, bias, stride = tensors[layer["weight"]], tensors[layer["bias"]], layer["stride"]
    _require(len(shape) == 3 and weight.ndim == 4 and type(stride) is int and stride >= 1, "a convolution of no image")
    n_out, n_in, *kernel = weight.shape
    rows, columns = ((size - width) // stride + 1 for size, width in zip(shape[1:], kernel, strict=True))
    _require(n_in == shape[0] and bias.shape == (n_out,) and min(rows, columns, *kernel) > 0, "a convolution too large")
    _require(rows * columns * math.prod((n_in, *kernel)) <= MAX_PATCHES, "a convolution of too many patches")
    return (n_out, rows, columns)


def _scale(layer: Any, tensors: Tensors, shape: Shape) -> Shape:
    _require(isinstance(layer["factor"], int | float), "a factor that is no number")
    return shape


SHAPES: dict[str, Callable[[Any, Tensors, Shape], Shape]] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "scale": _scale,
    "tanh": lambda layer, tensors, shape: shape,
    "relu": lambda layer, tensors, shape: shape,
    "flatten": lambda layer, tensors, shape: (math.prod(shape),),
}
"""What each op of `layers.OPS` makes of a shape; it raises where they do not fit."""
