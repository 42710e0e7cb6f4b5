"""Checks that a file's spaces, distribution and executed actions fit each other. NumPy alone.

In: parts of a student's record, which may hold anything. Out: nothing, or an error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from policy_distill.student.actions import KINDS
from policy_distill.student.spaces import space_shape

MAX_SIZE = 2**24
"""Numbers in one observation or action."""
DTYPES = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split())


Shape = tuple[int, ...]
GAUSSIAN = {"deterministic": 1, "diagonal_gaussian": 2, "squashed_gaussian": 2}
"""Parameters for each number of a continuous action, by family."""
CHOOSING = {
    "Discrete": ("categorical",),
    "MultiDiscrete": ("multi_categorical",),
    # Where bits can be ruled out, each is a choice between two.
    "MultiBinary": ("bernoulli", "multi_categorical"),
}
"""Families that choose the actions of a space."""


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
            require(np.size(_numbers(bound)) in (1, size_of(space)), "bounds of another shape than their space")
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
    require(not np.isnan(array).any(), "a bound that is no number")
    return array


def _check_start(start: Any, shape: Shape) -> None:
    array = np.asarray(start)
    require(array.dtype.kind == "i" and array.shape in ((), shape), "a start that is no whole number")
    require(bool((np.abs(array) < 2**40).all()), "a start out of range")


def size_of(space: Any) -> int:
    """Numbers in one element of a space."""
    kind = space["type"]
    if kind == "Box":
        return math.prod(space["shape"])
    if kind == "MultiBinary":
        return math.prod([space["n"]] if isinstance(space["n"], int) else space["n"])
    return np.size(space["nvec"]) if kind == "MultiDiscrete" else 1


def n_outputs_of(distribution: Any) -> int:
    """Return the parameters of a family as a file names it."""
    family, config = distribution["family"], distribution["config"]
    if family == "multi_categorical":
        return sum(whole_numbers(config["nvec"]))
    (size,) = whole_numbers([config["n" if family in ("categorical", "bernoulli") else "dim"]])
    return size * {"categorical": 1, "bernoulli": 1, **GAUSSIAN}[family]


def check_actions(values: Any, space: Any, distribution: Any) -> None:
    """Check that a family's actions become those of a space."""
    shape, kind, dtype = whole_numbers(values["shape"]), values["kind"], values["dtype"]
    require(kind in KINDS and dtype in DTYPES, "actions of an unknown kind or dtype")
    require(shape == space_shape(space), "actions of another shape than their space")
    require((kind == "index") == (space["type"] != "Box"), "actions of another kind than their space")
    family, config = distribution["family"], distribution["config"]
    require(
        family in CHOOSING.get(space["type"], (family,)) and (family in GAUSSIAN) == (kind != "index"), "no such action"
    )
    if kind == "index":
        require(np.dtype(dtype).kind in "iu", "choices that are no whole numbers")
        require(
            np.array_equal(np.ravel(config["nvec" if family == "multi_categorical" else "n"]), _choices(space, family)),
            "a distribution over other choices than its space has",
        )
        require(np.array_equal(_spread(values["start"], shape), _spread(space.get("start", 0), shape)), "another start")
    else:
        require(config["dim"] == size_of(space) and dtype == space["dtype"], "a distribution of other actions")
    for name in ("low", "high"):
        bound = values[name]
        require((bound is None) == (kind in ("index", "none")), "bounds of actions are missing, or have no use")
        if bound is not None:
            own = np.broadcast_to(_numbers(space[name]).astype(dtype), (size_of(space),))
            require(np.array_equal(_numbers(bound).astype(dtype), own), "bounds of actions that are not their space's")
    _check_start(values["start"], shape)


def _choices(space: Any, family: str) -> np.ndarray:
    """Return the numbers of choices of a space of discrete actions, as its family is made with them."""
    if space["type"] == "MultiBinary" and family == "multi_categorical":
        return np.full(size_of(space), 2)
    return np.ravel(space["nvec"] if space["type"] == "MultiDiscrete" else space["n"])


def _spread(start: Any, shape: Shape) -> np.ndarray:
    return np.broadcast_to(np.asarray(start), shape)
