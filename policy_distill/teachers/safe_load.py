"""Reads pickles without running anything from them.

In: the bytes of a pickle from a file that nobody vouches for. Out: plain data, NumPy arrays, and for each class or
function named in it an inert stand-in that only remembers its name, arguments and state. A name outside the allow-list
stops the reading. Nothing real can be called or changed, since nothing real but NumPy's arrays and plain containers is
ever handed to the unpickler.
"""

from __future__ import annotations

import collections
import io
import pickle
from typing import Any

import numpy as np
from numpy._core import multiarray, numeric

from policy_distill.errors import RequestError

REAL: dict[str, Any] = {
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "numpy._core.multiarray._reconstruct": multiarray._reconstruct,
    "numpy._core.numeric._frombuffer": getattr(numeric, "_frombuffer"),  # noqa: B009 - private, and not in NumPy's stubs
    "numpy._core.multiarray.scalar": multiarray.scalar,
    "collections.OrderedDict": collections.OrderedDict,
    "collections.deque": collections.deque,
    **{f"builtins.{kind.__name__}": kind for kind in (bool, bytearray, bytes, complex, dict, float, frozenset)},
    **{f"builtins.{kind.__name__}": kind for kind in (int, list, set, slice, str, tuple)},
    "_codecs.encode": lambda text, encoding="latin1": str(text).encode("latin1"),  # how protocol 2 writes bytes
}
"""The only objects that are really made: containers, numbers and arrays."""

INERT = (
    "abc.ABC",
    "cloudpickle.",
    "collections.defaultdict",
    "functools.partial",
    "gym.spaces.",
    "gymnasium.spaces.",
    "numpy.float",
    "numpy.int",
    "numpy.uint",
    "numpy.bool",
    "numpy.random.",
    "operator.getitem",
    "pathlib.",
    "sb3_contrib.",
    "stable_baselines3.",
    "torch.device",
    "torch.float32",
    "torch._utils._rebuild_",
    "torch.nn.",
    "torch.optim.",
    "torch.storage._load_from_bytes",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
    "types.",
    "typing.",
)
"""Beginnings of names that become stand-ins. Real files pickle schedules as functions, through cloudpickle; they are
read past and never made."""


class Inert:
    """A stand-in for an object that was not made: `reference` is its name, `args` and `state` what it was given."""

    reference = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Remember the arguments."""
        stand_in = super().__new__(cls)
        stand_in.args = args
        stand_in.state = None
        stand_in.items = []
        return stand_in

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args: tuple[Any, ...]
        self.state: Any
        self.items: list[Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        """Stand in for what a call would have returned."""
        return type(self)(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, item: Any) -> None:
        """Remember an item of a list-like object."""
        self.items.append(item)

    def extend(self, items: Any) -> None:
        """Remember the items of a list-like object."""
        self.items.extend(items)

    add = append

    @property
    def attributes(self) -> dict[str, Any]:
        """The object's attributes, from a plain state or one with slots."""
        if isinstance(self.state, tuple):
            return {key: value for part in self.state if isinstance(part, dict) for key, value in part.items()}
        return self.state if isinstance(self.state, dict) else {}


class _SafeUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, place: str) -> None:
        super().__init__(io.BytesIO(data))
        self._place = place

    def find_class(self, module: str, name: str) -> Any:
        module = {"copy_reg": "copyreg", "__builtin__": "builtins"}.get(module, module)
        reference = f"{module}.{name}".replace("numpy.core.", "numpy._core.")
        if reference in REAL:
            return REAL[reference]
        # A dotted name would reach through a module into whatever that has imported.
        if reference.startswith(INERT) and "." not in name:
            return type(name, (Inert,), {"reference": reference})
        raise RequestError(
            f"{self._place} holds {reference}, which is not among what agents are made of; nothing was run. "
            "If you trust the file, load it with trust=True (--trust)"
        )

    def persistent_load(self, key: Any) -> Any:
        raise RequestError(f"{self._place} refers to an outside object ({str(key)[:40]!r}); nothing was run")


def safe_unpickle(data: bytes, place: str) -> Any:
    """Read a pickle; `place` names it in errors.

    Raises:
        RequestError: for a name outside the allow-list, or bytes that are no whole pickle.
    """
    try:
        return _SafeUnpickler(data, place).load()
    except RequestError:
        raise
    except Exception as error:
        # Anything can go wrong in a damaged pickle, and all of it means the same.
        reason = f"{type(error).__name__}: {str(error)[:80]}"
        raise RequestError(f"{place} is damaged and cannot be read ({reason}); copy the file again") from None


def reference_of(value: Any) -> str | None:
    """Return the name that a stand-in class stands for; None for anything else."""
    return value.reference if isinstance(value, type) and issubclass(value, Inert) else None
