"""Records that are JSON objects in files: dataclasses whose fields say what may stand there, in the order of the file.

In: a record, or a JSON value that nobody vouches for. Out: the other, or an error that names the field. What is missing
or null becomes None and is no error: a run may have been stopped, or be of an earlier version. What a record has no
field for is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from policy_distill.errors import RequestError

R = TypeVar("R")

LARGEST = 1e100
"""Numbers beyond it are no measurements, and their sums would be infinite."""


@dataclass(frozen=True)
class Leaf:
    """A value that is no record."""

    words: str
    """What it is, for the error."""
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class Each:
    """An object of any names, each with a value of one form."""

    form: Any


@dataclass(frozen=True)
class ListOf:
    """A list of values of one form."""

    form: Any


def is_number(value: Any) -> bool:
    """Return True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


NUMBER = Leaf("a number", is_number)
NUMBERS = Leaf("a list of numbers", lambda value: isinstance(value, list) and all(map(is_number, value)))
INTERVAL = Leaf(
    "two numbers",
    lambda value: isinstance(value, list) and len(value) == 2 and (value == [None, None] or all(map(is_number, value))),
)
ENDS = Leaf(
    "two numbers, or null for an end that is not known",
    lambda value: isinstance(value, list) and len(value) == 2 and all(x is None or is_number(x) for x in value),
)
COUNT = Leaf("a count", lambda value: type(value) is int and 0 <= value < 2**53)
TIME = Leaf("a time in seconds", lambda value: is_number(value) and value >= 0.0)
MEASURED = Leaf("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))
"""As something was measured: it need not be finite."""
TEXT = Leaf("a text", lambda value: isinstance(value, str))
FLAG = Leaf("true or false", lambda value: isinstance(value, bool))
OBJECT = Leaf("an object", lambda value: isinstance(value, dict))
LIST = Leaf("a list", lambda value: isinstance(value, list))
ANYTHING = Leaf("a value", lambda value: True)


def part(form: Any, *, left_out: bool = False, name: str = "", inline: bool = False, needed: bool = False) -> Any:
    """Return a field of a record, None by default.

    Args:
        form: a leaf, another record's class, an `Each` or `ListOf`.
        left_out: where it is None, the file does not name it; else it is null there.
        name: what the file calls it, where that is no name for a field.
        inline: the file has the fields of the record `form` in place of this one; of `OBJECT`, whatever else it names.
        needed: a file without it is refused.
    """
    said = {"form": form, "left_out": left_out, "name": name, "inline": inline, "needed": needed}
    return field(default=None, metadata=said)


def dump(record: Any) -> dict[str, Any]:
    """Return a record as a JSON object."""
    values: dict[str, Any] = {}
    for one in fields(record):
        value = getattr(record, one.name)
        if one.metadata["inline"]:
            values |= {} if value is None else _dumped(value)
        elif value is not None or not one.metadata["left_out"]:
            values[one.metadata["name"] or one.name] = _dumped(value)
    return values


def load(cls: type[R], value: Any, where: str) -> R:
    """Return the record that a JSON value holds.

    Args:
        cls: a dataclass whose fields are all made by `part`.
        value: from a file.
        where: what to call it in errors.

    Raises:
        RequestError: naming the field that has another form, or that is needed and missing.
    """
    value, found = as_object(value, where), dict[str, Any]()
    for one in fields(cls):  # type: ignore[arg-type]
        form, name = one.metadata["form"], one.metadata["name"] or one.name
        if form is OBJECT and one.metadata["inline"]:
            found[one.name] = {other: inner for other, inner in value.items() if other not in _names(cls)}
        elif one.metadata["inline"]:
            found[one.name] = load(form, value, where) if _names(form) & set(value) else None
        else:
            if value.get(name) is None and one.metadata["needed"]:
                raise RequestError(f"{where}: expected {name}, found none")
            found[one.name] = None if value.get(name) is None else _loaded(form, value[name], f"{where}, {name}")
    return cls(**found)


def load_known(cls: type[R], value: Any) -> R:
    """Return what a JSON value says of a record of leaves; what has another form counts as not said."""
    said, found = value if isinstance(value, Mapping) else {}, dict[str, Any]()
    for one in fields(cls):  # type: ignore[arg-type]
        form, name = one.metadata["form"], one.metadata["name"] or one.name
        if one.metadata["inline"]:
            found[one.name] = {other: inner for other, inner in said.items() if other not in _names(cls)}
        else:
            found[one.name] = said[name] if name in said and form.fits(said[name]) else None
    return cls(**found)


def as_object(value: Any, where: str) -> dict[str, Any]:
    """Return a JSON value that is an object.

    Raises:
        RequestError: for one that is none.
    """
    if not isinstance(value, dict):
        raise RequestError(f"{where}: expected an object, found {_brief(value)}")
    return value


def _dumped(value: Any) -> Any:
    if is_dataclass(value):
        return dump(value)
    if isinstance(value, Mapping):
        return {name: _dumped(inner) for name, inner in value.items()}
    return [_dumped(inner) for inner in value] if isinstance(value, list | tuple) else value


def _loaded(form: Any, value: Any, where: str) -> Any:
    if isinstance(form, Leaf):
        if not form.fits(value):
            raise RequestError(f"{where}: expected {form.words}, found {_brief(value)}")
        return value
    if isinstance(form, Each):
        return {name: _loaded(form.form, one, f"{where}, {name}") for name, one in as_object(value, where).items()}
    if isinstance(form, ListOf):
        if not isinstance(value, list):
            raise RequestError(f"{where}: expected a list, found {_brief(value)}")
        return tuple(_loaded(form.form, one, f"{where} {i}") for i, one in enumerate(value))
    return load(form, value, where)


def _names(cls: Any) -> set[str]:
    """Return what a file names of a record."""
    parts = [one for one in fields(cls) if one.metadata["form"] is not OBJECT or not one.metadata["inline"]]
    own = {one.metadata["name"] or one.name for one in parts if not one.metadata["inline"]}
    return own.union(*(_names(one.metadata["form"]) for one in parts if one.metadata["inline"]))


def _brief(value: Any) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    return kinds.get(type(value)) or json.dumps(value)[:40]
