"""Makes Gymnasium spaces from the stand-ins that a safely read pickle holds, of `gym` and `gymnasium` alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from policy_distill.errors import RequestError
from policy_distill.system.foreign import asked
from policy_distill.teachers.files.stand_ins import DTYPES, Inert, array_of, plain_dtype


def read_space(stand_in: Any, place: str) -> Space[Any]:
    """Return the space that a stand-in describes.

    Raises:
        RequestError: where it is no space of a kind that agents have.
    """
    kind = type(stand_in).reference.rsplit(".", 1)[-1] if isinstance(stand_in, Inert) else type(stand_in).__name__
    if kind not in _MAKERS:
        raise RequestError(f"{place}: expected a space among {', '.join(_MAKERS)}, found {kind}")
    try:
        return _MAKERS[kind](stand_in.attributes, place)
    except RequestError:
        raise
    except Exception as error:
        # Gymnasium checks its arguments in errors of every kind.
        reason = f"{type(error).__name__}: {str(error)[:80]}"
        raise RequestError(f"{place}: the {kind} space is damaged ({reason}); copy the file again") from None


def _box(state: dict[str, Any], place: str) -> Space[Any]:
    low, high = array_of(state["low"]), array_of(state["high"])
    if low.shape != high.shape:
        raise ValueError(f"bounds of shapes {low.shape} and {high.shape}")
    return spaces.Box(low, high, low.shape, _dtype(state["dtype"]).type if "dtype" in state else low.dtype.type)


def _discrete(state: dict[str, Any], place: str) -> Space[Any]:
    return spaces.Discrete(_whole(state["n"]), start=_whole(state.get("start", 0)))


def _multi_discrete(state: dict[str, Any], place: str) -> Space[Any]:
    nvec = array_of(state["nvec"])
    return spaces.MultiDiscrete(nvec, start=array_of(state["start"]) if "start" in state else np.zeros_like(nvec))


def _multi_binary(state: dict[str, Any], place: str) -> Space[Any]:
    n = state["n"]
    if isinstance(n, Inert):
        n = array_of(n).tolist()
    return spaces.MultiBinary([_whole(size) for size in n] if isinstance(n, list | tuple) else _whole(n))


def _dict(state: dict[str, Any], place: str) -> Space[Any]:
    # Gymnasium sorts a plain dict; the order of the keys is that of the features.
    members = state["spaces"]
    if not isinstance(members, dict) or any(type(sub).reference.endswith(".Dict") for sub in members.values()):
        raise ValueError("a Dict holds a Dict, which Stable-Baselines3 does not take")
    return spaces.Dict(OrderedDict((str(key), read_space(sub, place)) for key, sub in members.items()))


_MAKERS: dict[str, Callable[[dict[str, Any], str], Space[Any]]] = {
    "Box": _box,
    "Discrete": _discrete,
    "MultiDiscrete": _multi_discrete,
    "MultiBinary": _multi_binary,
    "Dict": _dict,
}


def _dtype(value: Any) -> np.dtype[Any]:
    """A dtype may be pickled as itself, as a string, or as a reference to NumPy's scalar type."""
    if isinstance(value, Inert):
        return plain_dtype(value)
    name = value if isinstance(value, str) else str(asked(value, "reference", "")).rsplit(".", 1)[-1]
    found = np.dtype(name.removesuffix("_"))
    if found.str[1:] not in DTYPES:
        raise ValueError(f"the dtype {name} is not one of numbers")
    return found


def _whole(value: Any) -> int:
    if not isinstance(value, int | np.integer):
        raise TypeError(f"expected a whole number, found {type(value).__name__}")
    return int(value)
