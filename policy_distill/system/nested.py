"""Arrays and dicts of arrays, walked here and nowhere else: what an observation may be, and what goes beside it.

In: an array (or tensor), None, or a dict of such, however deep. Out: the same structure. None stays None, so that what
there is not needs no case of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


def map_arrays(function: Callable[[Any], Any], value: Any) -> Any:
    """Return `value` with `function` applied to each of its arrays."""
    if isinstance(value, dict):
        return {key: map_arrays(function, part) for key, part in value.items()}
    return None if value is None else function(value)


def arrays_of(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each array with the key that it lies under: "" for one alone, `a.b` in a dict of dicts."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from arrays_of(part, f"{name}.{key}" if name else key)
    elif value is not None:
        yield name, value


def first_of(value: Any) -> Any:
    """Return the first of the arrays, which tells the sizes that all have in common."""
    return next(array for _, array in arrays_of(value))


def count(value: Any) -> int:
    """Return the size of a batch: the length of any of its arrays."""
    return len(first_of(value))


def take(value: Any, at: Any) -> Any:
    """Return `array[at]` of each array: one entry, a slice, or rows."""
    if isinstance(value, dict):
        return {key: take(part, at) for key, part in value.items()}
    return None if value is None else value[at]


def with_axis(value: Any) -> Any:
    """Return each array with a first axis of 1 before its own."""
    return map_arrays(lambda array: np.asarray(array)[None], value)


def merged(value: Any) -> Any:
    """Return each array `[T, N, ...]` as `[T * N, ...]`."""
    return map_arrays(lambda array: array.reshape(-1, *array.shape[2:]), value)


def stack(values: Sequence[Any]) -> Any:
    """Return values of one structure as one, each array with a first axis of `len(values)`."""
    if isinstance(values[0], dict):
        return {key: stack([value[key] for value in values]) for key in values[0]}
    return None if values[0] is None else np.stack(values)


def joined(first: Any, second: Any) -> Any:
    """Return two values of one structure as one, each array `[B, ...]` behind the other's."""
    if isinstance(first, dict):
        return {key: joined(part, second[key]) for key, part in first.items()}
    return None if first is None else np.concatenate([first, second])


def room_for(value: Any, *sizes: int) -> Any:
    """Return arrays `[*sizes, ...]`, not filled, for entries such as `value`."""
    return map_arrays(lambda array: np.empty((*sizes, *array.shape), dtype=array.dtype), value)


def put(storage: Any, at: Any, value: Any) -> None:
    """Store `value` in `storage`, at `array[at]` of each of its arrays."""
    if isinstance(storage, dict):
        for key, part in storage.items():
            put(part, at, value[key])
    elif storage is not None and value is not None:
        storage[at] = value


def equal(one: Any, other: Any) -> bool:
    """Say whether two values are equal bit for bit, dtypes and shapes included."""
    if isinstance(one, dict) or isinstance(other, dict):
        both = isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()
        return both and all(equal(part, other[key]) for key, part in one.items())
    if one is None or other is None:
        return one is other
    one, other = np.asarray(one), np.asarray(other)
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())
