"""Takes nested values apart into named arrays and JSON, and puts them together again; nothing executable on the way.

In: observations, recurrent states: None, numbers, words, arrays, tensors, and lists, tuples and dicts of such. Out:
arrays by name, and a structure that says where each belongs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def pack(name: str, value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Put the arrays of `value` into `arrays`, under names that begin with `name`, and return its structure.

    Raises:
        TypeError: for a value of another kind.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, torch.Tensor):
        arrays[name] = value.detach().cpu().numpy()
        return {"tensor": name, "device": str(value.device)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        arrays[name] = np.asarray(value)
        return {"array": name}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: pack(f"{name}.{key}", part, arrays) for key, part in value.items()}}
    if type(value) in (list, tuple):
        parts = [pack(f"{name}.{index}", part, arrays) for index, part in enumerate(value)]
        return {type(value).__name__: parts}
    raise TypeError(f"a {type(value).__name__} cannot be stored in a checkpoint")


def pack_or_none(name: str, value: Any, arrays: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Return what `pack` does; None, and no array, for a value of a kind of its own, as a policy's state may be."""
    found: dict[str, np.ndarray] = {}
    try:
        structure: dict[str, Any] = pack(name, value, found)
    except TypeError:
        return None
    arrays.update(found)
    return structure


def unpack(structure: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    """Return what `pack` took apart."""
    if "tensor" in structure:
        return torch.from_numpy(arrays[structure["tensor"]].copy()).to(structure["device"])
    if "array" in structure:
        return arrays[structure["array"]].copy()
    if "dict" in structure:
        return {key: unpack(part, arrays) for key, part in structure["dict"].items()}
    for kind in (list, tuple):
        if kind.__name__ in structure:
            return kind(unpack(part, arrays) for part in structure[kind.__name__])
    return structure["value"]


def alike(one: Any, other: Any) -> bool:
    """Say whether two nested values of arrays are equal in structure, shapes and dtypes."""
    return _form(one) == _form(other)


def _form(value: Any) -> Any:
    arrays: dict[str, np.ndarray] = {}
    structure = pack("", value, arrays)
    return structure, {name: (array.dtype, array.shape) for name, array in arrays.items()}
