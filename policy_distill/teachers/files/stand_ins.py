"""What a safely read pickle holds in place of objects: inert stand-ins, and arrays made only when asked for.

In: names, arguments and states from a pickle that nobody vouches for. Out: plain data. NumPy's own reconstruction is
never called: given a forged dtype it would read memory that is not the array's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.system.foreign import asked

DTYPES = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split())
"""NumPy dtypes of plain numbers, as pickles write them; no other can be made."""


class Inert:
    """A stand-in for an object that was not made: `reference` is its name, `args` and `state` what it was given."""

    __slots__ = ("args", "items", "state")

    reference = ""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None
        self.items: list[Any] = []

    @property
    def attributes(self) -> dict[str, Any]:
        """The object's attributes, from a plain state or one with slots."""
        if isinstance(self.state, tuple):
            return {key: value for part in self.state if isinstance(part, dict) for key, value in part.items()}
        return self.state if isinstance(self.state, dict) else {}


class ArrayStandIn(Inert):
    """A pickled array; NumPy reads it through `__array__`, which checks it first."""

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the array, of `dtype` where given.

        Raises:
            RequestError: where shape, dtype and bytes do not agree, or the array is not one of numbers.
        """
        try:
            array = self._make()
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            raise RequestError(f"an array is damaged ({str(error)[:80]}); copy the file again") from None
        return array if dtype is None else array.astype(dtype)

    def _make(self) -> np.ndarray:
        if self.reference.endswith("_frombuffer"):
            raw, dtype, shape, order = self.args
        else:
            shape, dtype, fortran, raw = self.state[-4:]
            order = "F" if fortran else "C"
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        kind = plain_dtype(dtype)
        if not isinstance(raw, bytes) or not isinstance(shape, tuple) or order not in ("C", "F"):
            raise TypeError("expected bytes and a shape")
        if len(shape) > 32 or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError("its shape is not valid")
        if math.prod(shape) * kind.itemsize != len(raw):
            raise ValueError(f"{len(raw)} bytes do not fill its shape")
        return np.frombuffer(raw, kind).reshape(shape, order=order)


def array_of(value: Any) -> np.ndarray:
    """Return a stand-in or a plain number as an array.

    Raises:
        RequestError: for anything else: a list that holds itself many times over would never end.
    """
    if isinstance(value, ArrayStandIn | np.generic | int | float):
        return np.asarray(value)
    raise RequestError(f"expected an array, found {type(value).__name__}; copy the file again")


def plain_dtype(stand_in: Any) -> np.dtype[Any]:
    """Return the dtype of plain numbers that a stand-in describes, its byte order included.

    Raises:
        ValueError: for any other.
    """
    name = stand_in.args[0] if isinstance(stand_in, Inert) and stand_in.args else None
    if asked(stand_in, "reference") != "numpy.dtype" or not isinstance(name, str) or name not in DTYPES:
        raise ValueError("its dtype is not one of numbers")
    order = stand_in.state[1] if isinstance(stand_in.state, tuple) and len(stand_in.state) > 1 else "="
    return np.dtype(name if order not in ("<", ">") else order + name)


def scalar_of(dtype: Any, raw: Any) -> Any:
    """Return a pickled NumPy scalar.

    Raises:
        ValueError: where dtype and bytes do not agree.
    """
    kind = plain_dtype(dtype)
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(raw, bytes) or len(raw) != kind.itemsize:
        raise ValueError("a scalar's bytes do not fit its dtype")
    return np.frombuffer(raw, kind)[0]


def reference_of(value: Any) -> str | None:
    """Return the name that a stand-in class stands for; None for anything else."""
    return value.reference if isinstance(value, type) and issubclass(value, Inert) else None
