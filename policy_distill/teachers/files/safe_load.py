"""Reads pickles without running anything from them.

In: the bytes of a pickle from a file that nobody vouches for. Out: plain data, and for each object named in it an inert
stand-in that only remembers its name, arguments and state. A name outside the allow-list stops the reading. Python's
own unpickler is not used: nothing in a file is ever called, imported or looked up.
"""

from __future__ import annotations

import collections
import io
from collections.abc import Callable
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.teachers.files.pickle_machine import Budget, Machine
from policy_distill.teachers.files.pickle_steps import checked_key
from policy_distill.teachers.files.stand_ins import ArrayStandIn, Inert, scalar_of

INERT = (
    "abc.ABC",
    "cloudpickle.",
    "collections.defaultdict",
    "functools.partial",
    "gym.spaces.",
    "gymnasium.spaces.",
    "numpy.bool",
    "numpy.dtype",
    "numpy.float",
    "numpy.int",
    "numpy.ndarray",
    "numpy.random.",
    "numpy.uint",
    "operator.getitem",
    "pathlib.",
    "policy_distill.exporters.sb3_policy.Student",
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

ARRAYS = ("numpy._core.multiarray._reconstruct", "numpy._core.numeric._frombuffer")
"""Names that become stand-ins for arrays."""


def _copied(make: Callable[..., Any], *kinds: Any) -> Callable[..., Any]:
    """Return a maker of a copy of its one argument, of one of `kinds`; copies are paid for by their length."""

    def maker(budget: Budget, value: Any = None) -> Any:
        if value is None:
            return make()
        if not isinstance(value, kinds):
            raise TypeError(f"{make.__name__} of {type(value).__name__}")
        budget.spend(len(value))
        return make(value)

    return maker


def _keyed(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a maker of a set or dictionary from a list, of items or of pairs."""

    def maker(budget: Budget, value: Any = ()) -> Any:
        if not isinstance(value, list | tuple | set | dict):
            raise TypeError(f"{make.__name__} of {type(value).__name__}")
        budget.spend(len(value))
        if issubclass(make, dict):  # type: ignore[arg-type]
            pairs = value.items() if isinstance(value, dict) else value
            return make((checked_key(key), item) for key, item in pairs)
        return make(map(checked_key, value))

    return maker


def _number(make: Callable[..., Any]) -> Callable[..., Any]:
    def maker(budget: Budget, *values: Any) -> Any:
        if not all(isinstance(value, int | float) for value in values):
            raise TypeError(f"{make.__name__} of something that is not a number")
        return make(*values)

    return maker


def _bytes(budget: Budget, value: Any = b"", encoding: Any = "latin1") -> bytes:
    """Protocols 0 to 2 write bytes as text."""
    if not isinstance(value, str | bytes):
        raise TypeError(f"bytes of {type(value).__name__}")
    budget.spend(len(value) // 64)
    return value.encode("latin1") if isinstance(value, str) else value


def _text(budget: Budget, value: Any = "") -> str:
    if not isinstance(value, str):
        raise TypeError(f"str of {type(value).__name__}")
    return value


def _deque(budget: Budget, value: Any = (), maxlen: Any = None) -> collections.deque[Any]:
    if not isinstance(value, list | tuple) or not isinstance(maxlen, int | None):
        raise TypeError("a deque of something that is not a list")
    budget.spend(len(value))
    return collections.deque(value, maxlen)


MAKERS: dict[str, Callable[..., Any]] = {
    "numpy._core.multiarray.scalar": lambda budget, dtype, raw: scalar_of(dtype, raw),
    "collections.OrderedDict": _keyed(collections.OrderedDict),
    "collections.deque": _deque,
    "builtins.bool": _number(bool),
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "builtins.complex": _number(complex),
    "builtins.dict": _keyed(dict),
    "builtins.float": _number(float),
    "builtins.frozenset": _keyed(frozenset),
    "builtins.int": _number(int),
    "builtins.list": _copied(list, list, tuple, set, frozenset),
    "builtins.set": _keyed(set),
    "builtins.slice": lambda budget, *values: slice(*values),
    "builtins.str": _text,
    "builtins.tuple": _copied(tuple, list, tuple),
    "_codecs.encode": _bytes,
}
"""The only names whose calls make something: containers and numbers of plain arguments. The budget comes first."""


def resolver(
    makers: dict[str, Callable[..., Any]], inert: tuple[str, ...], dotted: tuple[str, ...] = ()
) -> Callable[[str, str], type[Inert]]:
    """Return what decides about names: those of `makers` make data, those that begin as `inert` become stand-ins.

    So do those that begin as `dotted`, methods of classes among them. What it returns raises RequestError for any other
    name.
    """

    def resolve(module: str, name: str) -> type[Inert]:
        module = {"copy_reg": "copyreg", "__builtin__": "builtins"}.get(module, module)
        reference = f"{module}.{name}".replace("numpy.core.", "numpy._core.")
        # A dotted name would reach through a module into whatever that has imported.
        if "." not in name and reference in makers:
            return type("Maker", (Inert,), {"reference": reference, "maker": staticmethod(makers[reference])})
        if "." not in name and reference in ARRAYS:
            return type("Array", (ArrayStandIn,), {"reference": reference, "__slots__": ()})
        if "." not in name and reference.startswith(inert):
            return type("StandIn", (Inert,), {"reference": reference, "__slots__": ()})
        if reference.startswith(dotted):
            return type("StandIn", (Inert,), {"reference": reference, "__slots__": ()})
        raise RequestError(f"it holds {reference}, which is not among what agents are made of")

    return resolve


def read_pickle(stream: io.BytesIO, place: str, machine: Machine) -> Any:
    """Run a machine, and say what is wrong with the pickle at `place` where it cannot be read."""
    try:
        return machine.run()
    except RequestError as error:
        raise RequestError(
            f"{place} cannot be trusted: {error}; nothing was run. If you trust the file, load it with trust=True "
            "(--trust)"
        ) from None
    except Exception as error:
        # Anything can go wrong in a damaged pickle, and all of it means the same.
        reason = f"{type(error).__name__}: {str(error)[:80]}"
        raise RequestError(f"{place} is damaged and cannot be read ({reason}); copy the file again") from None


def safe_unpickle(data: bytes, place: str, budget: Budget | None = None, further: tuple[str, ...] = ()) -> Any:
    """Read a pickle; `place` names it in errors, `budget` bounds it together with others.

    Names that begin as `further` become stand-ins too.

    Raises:
        RequestError: for a name outside the allow-list, or bytes that are no whole pickle.
    """
    stream = io.BytesIO(data)
    return read_pickle(stream, place, Machine(stream, resolver(MAKERS, INERT, further), budget or Budget()))
