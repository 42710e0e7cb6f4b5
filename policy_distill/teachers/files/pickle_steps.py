"""What each instruction of a pickle does to the machine's stack, on plain data and stand-ins alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from policy_distill.teachers.files.stand_ins import Inert

if TYPE_CHECKING:
    from policy_distill.teachers.files.pickle_machine import Machine

MAX_KEY_PARTS = 64
"""Parts of one dictionary key or member of a set: tuples hash without any bound on their depth."""

Step = Callable[["Machine", Any], None]
"""Takes the machine and the instruction's own argument."""


def checked_key(key: Any) -> Any:
    """Return a value that may be hashed: plain, small and shallow."""
    parts, seen = [key], 0
    while parts:
        part, seen = parts.pop(), seen + 1
        if seen > MAX_KEY_PARTS:
            raise ValueError("a key of too many parts")
        if isinstance(part, tuple):
            parts.extend(part[: MAX_KEY_PARTS + 1])
        elif isinstance(part, frozenset | bytearray):
            raise TypeError(f"a key of type {type(part).__name__}")
    return key


def fill_dict(target: Any, flat: list[Any]) -> Any:
    """Store keys and values that alternate."""
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        if isinstance(target, Inert):
            target.items.append((key, value))
        elif isinstance(target, dict):
            target[checked_key(key)] = value
        else:
            raise TypeError(f"items for {type(target).__name__}")
    return target


def _fill_list(target: Any, items: list[Any]) -> Any:
    if isinstance(target, Inert):
        target.items.extend(items)
    elif isinstance(target, list | deque):
        target.extend(items)
    else:
        raise TypeError(f"items for {type(target).__name__}")
    return target


def _fill_set(target: Any, items: list[Any]) -> Any:
    if isinstance(target, set):
        target.update(map(checked_key, items))
        return target
    return _fill_list(target, items)


def _build(machine: Machine, state: Any) -> None:
    target = machine.stack[-1]
    if isinstance(target, Inert):
        target.state = state
    elif not isinstance(target, dict | deque | list):
        # Attributes of a container change nothing that is read; those of anything else have no place.
        raise TypeError(f"a state for {type(target).__name__}")


def _newobj_ex(machine: Machine) -> Any:
    kwargs, args, what = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    return machine.make(what, args, kwargs)


def _reduce(machine: Machine) -> Any:
    args, what = machine.stack.pop(), machine.stack.pop()
    return machine.make(what, args)


def _inst(machine: Machine, argument: str) -> None:
    value = machine.make(machine.name(*argument.split(" ", 1)), tuple(machine.to_mark()))
    machine.stack.append(value)


def _obj(machine: Machine) -> Any:
    what, *args = machine.to_mark()
    return machine.make(what, tuple(args))


def _stack_global(machine: Machine) -> Any:
    name, module = machine.stack.pop(), machine.stack.pop()
    return machine.name(module, name)


def _one(make: Callable[[Machine], Any]) -> Step:
    def handle(machine: Machine, argument: Any) -> None:
        # First the value: making it may end a mark, which puts another stack in place.
        value = make(machine)
        machine.stack.append(value)

    return handle


def _last(count: int) -> Step:
    def handle(machine: Machine, argument: Any) -> None:
        if len(machine.stack) < count:
            raise IndexError("an empty stack")
        machine.stack[-count:] = [tuple(machine.stack[-count:])]

    return handle


def _onto(fill: Callable[[Any, list[Any]], Any], count: int | None) -> Step:
    """Fill the container below with what stands above it: `count` values, or all since the mark."""

    def handle(machine: Machine, argument: Any) -> None:
        if count is None:
            items = machine.to_mark()
        else:
            items = machine.stack[-count:]
            del machine.stack[-count:]
        fill(machine.stack[-1], items)

    return handle


def _mark(machine: Machine, argument: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine, argument: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.to_mark()


def _put(machine: Machine, index: Any) -> None:
    machine.memo[len(machine.memo) if index is None else int(index)] = machine.stack[-1]


PUSHES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 "
    "BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT".split()
)
"""Instructions that push their own argument."""

HANDLERS: dict[str, Step] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    "NONE": _one(lambda machine: None),
    "NEWTRUE": _one(lambda machine: True),
    "NEWFALSE": _one(lambda machine: False),
    "EMPTY_LIST": _one(lambda machine: []),
    "EMPTY_TUPLE": _one(lambda machine: ()),
    "EMPTY_DICT": _one(lambda machine: {}),
    "EMPTY_SET": _one(lambda machine: set()),
    "LIST": _one(lambda machine: machine.to_mark()),
    "TUPLE": _one(lambda machine: tuple(machine.to_mark())),
    "TUPLE1": _last(1),
    "TUPLE2": _last(2),
    "TUPLE3": _last(3),
    "DICT": _one(lambda machine: fill_dict({}, machine.to_mark())),
    "FROZENSET": _one(lambda machine: frozenset(map(checked_key, machine.to_mark()))),
    "APPEND": _onto(_fill_list, 1),
    "APPENDS": _onto(_fill_list, None),
    "SETITEM": _onto(fill_dict, 2),
    "SETITEMS": _onto(fill_dict, None),
    "ADDITEMS": _onto(_fill_set, None),
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": lambda machine, argument: (machine.to_mark(), None)[1],
    "DUP": _one(lambda machine: machine.stack[-1]),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _put,
    "GET": lambda machine, index: machine.stack.append(machine.memo[int(index)]),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "GLOBAL": lambda machine, argument: machine.stack.append(machine.name(*argument.split(" ", 1))),
    "STACK_GLOBAL": _one(_stack_global),
    "REDUCE": _one(_reduce),
    "NEWOBJ": _one(_reduce),
    "NEWOBJ_EX": _one(_newobj_ex),
    "OBJ": _one(_obj),
    "INST": _inst,
    "BUILD": lambda machine, argument: _build(machine, machine.stack.pop()),
    "PERSID": lambda machine, key: machine.stack.append(machine.persist(key)),
    "BINPERSID": _one(lambda machine: machine.persist(machine.stack.pop())),
}
"""What each instruction does."""
