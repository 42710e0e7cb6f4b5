"""Spaces as JSON, so that a student file names its own without Gymnasium.

In: a Gymnasium space. Out: JSON values, and back. Gymnasium is imported only when a space object is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from policy_distill.errors import RequestError

if TYPE_CHECKING:
    from gymnasium import Space


class SpaceRecord(TypedDict, total=False):
    """A space as files describe it; what each `type` has beside it, `describe_space` says."""

    type: str
    """`Box`, `Discrete`, `MultiDiscrete`, `MultiBinary` or `Dict`."""
    shape: list[int]
    dtype: str
    low: Any
    """One number where all are equal, else the flat list; infinities as texts."""
    high: Any
    n: Any
    """Of a Discrete space its options, of a MultiBinary one its shape."""
    start: Any
    nvec: list[Any]
    spaces: dict[str, SpaceRecord]
    """Of a Dict."""


def describe_space(space: Space[Any], key: str = "") -> SpaceRecord:
    """Return a space as JSON values; `key` is for the error, of one within a Dict.

    Raises:
        RequestError: for a kind of space that no student can have.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "low": _bounds(space.low),
            "high": _bounds(space.high),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiDiscrete):
        return {
            "type": "MultiDiscrete",
            "nvec": space.nvec.tolist(),
            "start": space.start.tolist(),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else [int(n) for n in space.n]}
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {key: describe_space(sub, key) for key, sub in space.spaces.items()}}
    where = f" under key {key!r}" if key else ""
    raise RequestError(
        f"expected a Box, Discrete, MultiDiscrete, MultiBinary or Dict space, found {type(space).__name__}{where}; "
        "wrap the environment so that it has one of these"
    )


def make_space(values: SpaceRecord) -> Space[Any]:
    """Rebuild the Gymnasium space that `describe_space` described.

    Raises:
        RequestError: for a description that is of no space, or without Gymnasium.
    """
    try:
        return _make(values)
    except RequestError:
        raise
    except ModuleNotFoundError as error:
        # Without Gymnasium a student acts, and has no spaces to show: the file is not to blame.
        raise RequestError(
            f"expected Gymnasium for a student's space as an object, found no module {error.name}; pip install "
            "gymnasium, or read metadata['observation_space'] and metadata['action_space']"
        ) from None
    except Exception as error:
        # A student file may describe anything; Gymnasium refuses it in errors of every kind.
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise RequestError(f"expected the description of a space, found one that cannot be made ({reason})") from None


def _make(values: SpaceRecord) -> Space[Any]:
    from gymnasium import spaces

    kind = values["type"]
    if kind == "Box":
        low, high = (_array(values[k], values) for k in ("low", "high"))
        return spaces.Box(low, high, tuple(values["shape"]), np.dtype(values["dtype"]).type)
    if kind == "Discrete":
        return spaces.Discrete(values["n"], start=values["start"], dtype=np.dtype(values.get("dtype", "int64")).type)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(
            np.asarray(values["nvec"]), dtype=np.dtype(values["dtype"]).type, start=values["start"]
        )
    if kind == "MultiBinary":
        return spaces.MultiBinary(values["n"])
    if kind == "Dict":
        # Gymnasium sorts a plain dict; the order of the keys is that of the features.
        return spaces.Dict(OrderedDict((key, _make(sub)) for key, sub in values["spaces"].items()))
    raise RequestError(f"expected a space of a known type, found {kind!r}; the file was written by a newer version")


def space_shape(values: SpaceRecord) -> tuple[int, ...]:
    """Return the shape of one element of a described space; a Dict has none."""
    kind = values["type"]
    if kind == "Box":
        return tuple(values["shape"])
    if kind == "MultiDiscrete":
        return np.asarray(values["nvec"]).shape
    if kind == "MultiBinary":
        return (values["n"],) if isinstance(values["n"], int) else tuple(values["n"])
    return ()


def columns_of(values: SpaceRecord, columns: Sequence[int]) -> SpaceRecord:
    """Return the described space of some components of a described vector."""
    if values["type"] == "MultiBinary":
        return {**values, "n": len(columns)}
    bounds = {name: values[name] for name in ("low", "high")}
    some = {name: [bound[i] for i in columns] for name, bound in bounds.items() if isinstance(bound, list)}
    # One number where all are equal, as of `describe_space`.
    some = {name: bound[0] if bound.count(bound[0]) == len(bound) else bound for name, bound in some.items()}
    return cast(SpaceRecord, {**values, **some, "shape": [len(columns)]})


def example_of(values: SpaceRecord) -> Any:
    """Return one raw element of a described space, in shape and dtype: zeros, or the first of each choice."""
    if values["type"] == "Dict":
        return {key: example_of(sub) for key, sub in values["spaces"].items()}
    start = values.get("start", 0)
    return np.asarray(np.zeros(space_shape(values)) + start, np.dtype(values.get("dtype", "int8")))


def _bounds(bound: np.ndarray) -> list[Any] | Any:
    """One number where all are equal (an image has thousands), else the flat list; infinities as strings."""
    flat = [_to_json(x) for x in np.asarray(bound).ravel().tolist()]
    return flat[0] if flat and all(x == flat[0] for x in flat) else flat


def _to_json(x: float) -> float | str:
    return x if np.isfinite(x) else ("inf" if x > 0 else "-inf")


def _array(bound: Any, values: SpaceRecord) -> np.ndarray:
    flat = np.asarray(bound if isinstance(bound, list) else [bound], dtype=np.float64)
    shape = tuple(values["shape"])
    full = flat.reshape(shape) if isinstance(bound, list) else np.full(shape, flat[0])
    return full.astype(values["dtype"])


def check_choices(columns: np.ndarray, sizes: Sequence[int], key: str) -> None:
    """Check that columns `[B, heads]` of a one-hot code are each among those of their head; `key` is for the error.

    Raises:
        ValueError: where one is not: it would be taken for a choice of another head.
    """
    ends = np.cumsum(sizes)
    if not ((columns >= ends - sizes) & (columns < ends)).all():
        where = f" under key {key!r}" if key else ""
        raise ValueError(f"expected observations among the choices of their space, found others{where}")
