"""Checks that a file's spaces, head and executed actions fit each other. NumPy alone.

In: parts of a student's record, which may hold anything. Out: nothing, or an error.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from policy_distill.student.actions import KINDS as ACTION_KINDS
from policy_distill.student.head import BUILT_IN, KINDS, SPREAD, Head, head_of_family, read_head
from policy_distill.student.spaces import space_shape

MAX_SIZE = 2**24
"""Numbers in one observation or action."""
DTYPES = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split())


Shape = tuple[int, ...]
STD = (None, "vector", "head", "dropped")
"""Where log σ comes from: nowhere, a vector for all states, the network's outputs; or it was not kept."""


def require(condition: bool, message: str) -> None:
    """Raise ValueError unless `condition`."""
    if not condition:
        raise ValueError(message)


def whole_numbers(values: Any, least: int = 1) -> Shape:
    """Return a shape; raise ValueError for what is none."""
    require(isinstance(values, list | tuple), "expected a list of whole numbers")
    require(all(type(value) is int and least <= value <= MAX_SIZE for value in values), "a size is out of range")
    require(len(values) <= 8 and math.prod(values) <= MAX_SIZE, "a shape is too large")
    return tuple(values)


def check_space(space: Any, *, nested: bool) -> None:
    """Check a described space; a Dict may be one only where `nested`."""
    kind = space["type"]
    require(space.get("dtype", "int64") in DTYPES, "a space of an unknown dtype")
    if kind == "Dict":
        require(nested and isinstance(space["spaces"], dict) and bool(space["spaces"]), "a Dict space in another one")
        for sub in space["spaces"].values():
            check_space(sub, nested=False)
    elif kind == "Box":
        whole_numbers(space["shape"])
        for bound in (space["low"], space["high"]):
            require(np.size(_numbers(bound)) in (1, numbers_in(space)), "bounds of another shape than their space")
    elif kind == "Discrete":
        whole_numbers([space["n"]])
        _check_start(space["start"], ())
    elif kind == "MultiDiscrete":
        nvec = np.asarray(space["nvec"])
        require(nvec.dtype.kind == "i" and nvec.size > 0 and nvec.min() > 0 and nvec.max() <= MAX_SIZE, "no such nvec")
        require(int(nvec.sum()) <= MAX_SIZE, "an nvec of too many choices")
        _check_start(space["start"], nvec.shape)
    elif kind == "MultiBinary":
        whole_numbers([space["n"]] if isinstance(space["n"], int) else space["n"])
    else:
        raise ValueError(f"a space of the unknown type {str(kind)[:40]!r}")


def _numbers(values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    require(not np.isnan(array).any(), "a bound that is not a number")
    return array


def _check_start(start: Any, shape: Shape) -> None:
    array = np.asarray(start)
    require(array.dtype.kind == "i" and array.shape in ((), shape), "a start that is not a whole number")
    require(bool((np.abs(array) < 2**40).all()), "a start out of range")


def numbers_in(space: Any) -> int:
    """Numbers in one element of a space."""
    kind = space["type"]
    if kind == "Box":
        return math.prod(space["shape"])
    if kind == "MultiBinary":
        return math.prod([space["n"]] if isinstance(space["n"], int) else space["n"])
    return np.size(space["nvec"]) if kind == "MultiDiscrete" else 1


def check_head(record: Any) -> Head:
    """Check what a record says of its outputs, and return it.

    Of a family that files have always named, it must be the head that this family has.
    """
    distribution, log_std = record["distribution"], record["architecture"]["log_std"]
    family, config = distribution["family"], distribution["config"]
    require(isinstance(family, str) and isinstance(config, dict), "a distribution of an unknown form")
    require(log_std in STD, "an unknown log σ")
    require("head" in record or family in BUILT_IN, f"a distribution of the unknown family {family[:40]!r}")
    head = read_head(record)
    _check_own(head)
    require(head.extra == 0 or log_std not in ("vector", "dropped"), "log σ among the outputs and elsewhere")
    require(log_std not in ("vector", "dropped") or not head.is_discrete, "a log σ for a choice")
    if family in BUILT_IN:
        require(log_std not in ("vector", "dropped") or family in SPREAD, "a log σ without a Gaussian")
        own = head_of_family(family, config, log_std)
        require(replace(head, reference=False) == own, "outputs of another distribution than its own")
    else:
        require(isinstance(distribution.get("package", ""), str), "a package without a name")
    return head


def _check_own(head: Head) -> None:
    sizes = head.sizes
    require(head.kind in KINDS and isinstance(head.reference, bool), "outputs of an unknown meaning")
    require(all(type(size) is int and 1 <= size <= MAX_SIZE for size in sizes), "a size is out of range")
    require(1 <= len(sizes) and sum(sizes) <= MAX_SIZE, "outputs without a size, or too many")
    require(head.kind == "argmax" or len(sizes) == 1, "several sizes of one thing")
    require(type(head.extra) is int and 0 <= head.extra <= MAX_SIZE, "outputs without a number")
    require(not head.reference or (head.kind == "argmax" and min(sizes) > 1), "no option to refer to")


def check_actions(values: Any, space: Any, head: Head) -> None:
    """Check that a head's actions become those of a space."""
    shape, kind, dtype = whole_numbers(values["shape"]), values["kind"], values["dtype"]
    require(kind in ACTION_KINDS and dtype in DTYPES, "actions of an unknown kind or dtype")
    require(shape == space_shape(space), "actions of another shape than their space")
    require((kind == "index") == (space["type"] != "Box"), "actions of another kind than their space")
    require(head.is_discrete == (kind == "index"), "no such action")
    if kind == "index":
        require(np.dtype(dtype).kind in "iu", "choices that are not whole numbers")
        require(head.sizes in _choices(space, head.kind), "a distribution over other choices than its space has")
        require(np.array_equal(_spread(values["start"], shape), _spread(space.get("start", 0), shape)), "another start")
    else:
        require(head.sizes == (numbers_in(space),) and dtype == space["dtype"], "a distribution of other actions")
    for name in ("low", "high"):
        bound = values[name]
        require((bound is None) == (kind in ("index", "none")), "bounds of actions are missing, or have no use")
        if bound is not None:
            own = np.broadcast_to(_numbers(space[name]).astype(dtype), (numbers_in(space),))
            require(np.array_equal(_numbers(bound).astype(dtype), own), "bounds of actions that are not their space's")
    _check_start(values["start"], shape)


def _choices(space: Any, kind: str) -> tuple[Shape, ...]:
    """Return the sizes that a head of that kind may have in a space of discrete actions."""
    if space["type"] == "MultiBinary":
        # Where bits can be ruled out, each is a choice between two.
        return ((numbers_in(space),),) if kind == "threshold" else ((2,) * numbers_in(space),)
    if kind == "threshold":
        return ()
    return (tuple(np.ravel(space["nvec"] if space["type"] == "MultiDiscrete" else space["n"]).tolist()),)


def _spread(start: Any, shape: Shape) -> np.ndarray:
    return np.broadcast_to(np.asarray(start), shape)
