"""Makes Gymnasium spaces from the stand-ins that a safely read pickle holds, of `gym` and `gymnasium` alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from policy_distill.errors import RequestError
from policy_distill.teachers.safe_load import Inert


def make_space(stand_in: Any, place: str) -> Space[Any]:
    """Return the space that a stand-in describes.

    Raises:
        RequestError: where it is no space of a kind that agents have.
    """
    kind = type(stand_in).reference.rsplit(".", 1)[-1] if isinstance(stand_in, Inert) else type(stand_in).__name__
    if kind not in _MAKERS:
        raise RequestError(f"{place}: expected a space among {', '.join(_MAKERS)}, found {kind}")
    try:
        return _MAKERS[kind](stand_in.attributes, place)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise RequestError(f"{place}: the {kind} space is damaged ({error!r}); copy the file again") from None


def _box(state: dict[str, Any], place: str) -> Space[Any]:
    low, high = np.asarray(state["low"]), np.asarray(state["high"])
    return spaces.Box(low, high, low.shape, _dtype(state.get("dtype", low.dtype)).type)


def _discrete(state: dict[str, Any], place: str) -> Space[Any]:
    return spaces.Discrete(int(state["n"]), start=int(state.get("start", 0)))


def _multi_discrete(state: dict[str, Any], place: str) -> Space[Any]:
    nvec = np.asarray(state["nvec"])
    return spaces.MultiDiscrete(nvec, start=np.asarray(state.get("start", np.zeros_like(nvec))))


def _multi_binary(state: dict[str, Any], place: str) -> Space[Any]:
    n = state["n"]
    return spaces.MultiBinary(int(n) if np.ndim(n) == 0 else [int(size) for size in n])


def _dict(state: dict[str, Any], place: str) -> Space[Any]:
    # Gymnasium sorts a plain dict; the order of the keys is that of the features.
    return spaces.Dict(OrderedDict((str(key), make_space(sub, place)) for key, sub in state["spaces"].items()))


_MAKERS: dict[str, Callable[[dict[str, Any], str], Space[Any]]] = {
    "Box": _box,
    "Discrete": _discrete,
    "MultiDiscrete": _multi_discrete,
    "MultiBinary": _multi_binary,
    "Dict": _dict,
}


def _dtype(value: Any) -> np.dtype[Any]:
    """A dtype may be pickled as itself, as a string, or as a reference to NumPy's scalar type."""
    reference = getattr(value, "reference", None)
    return np.dtype(reference.rsplit(".", 1)[-1].removesuffix("_") if reference else value)
