"""Executes a pickle's instructions on plain data alone, with every cost bounded.

In: the bytes of a pickle, and a function that decides about each name in it. Out: the value. The instructions are
those of Python's `pickle` (decoded by `pickletools`), but "call" and "build" only fill stand-ins, extension codes do
not exist, and what could be made large, deep or slow by few bytes is counted and refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from policy_distill.errors import RequestError
from policy_distill.teachers.files.pickle_steps import HANDLERS, PUSHES
from policy_distill.teachers.files.stand_ins import Inert

MAX_INSTRUCTIONS = 1_000_000
"""Instructions of all pickles of one file; agents have some thousands."""
MAX_NAMES = 500
"""Different names in one file."""
MAX_NAME = 300
"""Characters of a module and a name in it."""
MAX_BITS = 1024
"""Bits of a whole number; the states of generators have 128."""

Resolve = Callable[[str, str], type[Inert]]
"""From a module and a name in it to a class of stand-ins; one with a `maker` is made into plain data by that."""


class Budget:
    """What all pickles of one file may cost together."""

    def __init__(self, instructions: int = MAX_INSTRUCTIONS) -> None:
        self.left = instructions
        self.names: dict[tuple[str, str], type[Inert]] = {}

    def spend(self, count: int = 1) -> None:
        """Pay for `count` instructions or copied items."""
        self.left -= count
        if self.left < 0:
            raise ValueError(f"more than {MAX_INSTRUCTIONS:,} instructions")


class Machine:
    """One run over one pickle."""

    def __init__(
        self, stream: BinaryIO, resolve: Resolve, budget: Budget, persistent: Callable[[Any], Any] | None = None
    ) -> None:
        self.stream = stream
        self.resolve = resolve
        self.budget = budget
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the pickled value; the stream is left behind it.

        Raises:
            RequestError: for a name, or a reference to the outside, that is not allowed.
            Exception: of any kind for a damaged pickle.
        """
        for opcode, argument, _ in pickletools.genops(self.stream):
            self.budget.spend()
            name = opcode.name
            if name in PUSHES:
                self.stack.append(_checked(argument))
            elif name == "STOP":
                return self.stack.pop()
            elif name in HANDLERS:
                HANDLERS[name](self, argument)
            elif name.startswith("EXT"):
                raise RequestError("it refers to an object by a number (copyreg's extensions)")
            else:
                raise ValueError(f"instruction {name} in an unexpected place")
        raise ValueError("no end")

    def to_mark(self) -> list[Any]:
        """Take everything since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def name(self, module: Any, name: Any) -> type[Inert]:
        """Return what stands for a name."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is not text")
        known = self.budget.names
        if (module, name) not in known:
            if len(known) >= MAX_NAMES or len(module) + len(name) > MAX_NAME:
                raise ValueError("too many or too long names")
            known[module, name] = self.resolve(module, name)
        return known[module, name]

    def make(self, what: Any, args: Any, kwargs: Any = None) -> Any:
        """Return what a call makes: plain data by a maker, else a stand-in that remembers the arguments."""
        if not isinstance(args, tuple) or (kwargs and not isinstance(kwargs, dict)):
            raise TypeError("arguments that are not a tuple")
        if isinstance(what, Inert):
            return type(what)(*args)
        if isinstance(what, type) and issubclass(what, Inert):
            maker = what.__dict__.get("maker")
            return what(*args) if maker is None else maker(self.budget, *args)
        raise TypeError(f"a call of {type(what).__name__}")

    def persist(self, key: Any) -> Any:
        """Return what an outside object is, where this file has a meaning for them."""
        if self.persistent is None:
            raise RequestError("it refers to an outside object")
        return self.persistent(key)


def _checked(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ValueError("a number of too many digits")
    return bytes(value) if isinstance(value, bytearray) else value
