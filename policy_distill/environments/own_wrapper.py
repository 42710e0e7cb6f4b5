"""The observation wrapper that a student has of its own: noise, delay, quantised sensors; its teacher has none of it.

In: a class or a function, or its name such as `pkg:Noisy:std=0.1`. Out: its record, and from a record the wrapper. A
record may come from anywhere: no more is called than a wrapper of Gymnasium's kind, or a function without arguments.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium

from policy_distill.environments.identity import what_is_missing
from policy_distill.environments.make import import_package
from policy_distill.environments.names import parse_value, working_folder_on_path
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperRecord
from policy_distill.system.blame import blamed
from policy_distill.system.foreign import asked

EXAMPLE = "pkg:Noisy or pkg:Noisy:std=0.1,delay=2"


def own_wrapper(asked_for: Any) -> WrapperRecord | None:
    """Return the record of what was asked for, once it is known to be a wrapper; None for nothing.

    Args:
        asked_for: a name as of `EXAMPLE`, a class, a function of a module, or a `functools.partial` of a class.

    Raises:
        RequestError: for what is no wrapper, or has no name by which a file could tell it.
    """
    if not asked_for:
        return None
    record = _parsed(asked_for) if isinstance(asked_for, str) else _recorded(asked_for)
    load_wrapper(record)
    missing = what_is_missing(record["kwargs"], ())
    if missing:
        raise RequestError(f"expected arguments of {record['entry_point']} that a file can hold: {missing}")
    return record


def text_of(record: Mapping[str, Any]) -> str:
    """Return a record in the form in which it is asked for."""
    arguments = ",".join(f"{key}={value!r}" for key, value in record["kwargs"].items())
    return f"{record['entry_point']}:{arguments}" if arguments else str(record["entry_point"])


def load_wrapper(record: Mapping[str, Any]) -> Callable[[gymnasium.Env[Any, Any]], Any]:
    """Return what a record names: a function from an environment to the same one, wrapped.

    Raises:
        RequestError: where it cannot be imported here, or is none.
    """
    entry_point, kwargs = record["entry_point"], dict(record["kwargs"])
    module, _, name = entry_point.partition(":")
    with blamed(
        f"the student's wrapper {entry_point} cannot be found", "install its package, or run the command in its folder"
    ):
        working_folder_on_path()
        found: Any = import_package(module)
    for part in name.split("."):
        found = asked(found, part)
    if isinstance(found, type) and issubclass(found, gymnasium.Wrapper):
        return functools.partial(found, **kwargs)
    if inspect.isfunction(found) and found.__module__ == module and not kwargs:
        return found
    raise RequestError(
        f"expected a Gymnasium wrapper, such as {EXAMPLE}, or a function without arguments that makes one, found "
        f"{'none' if found is None else type(found).__name__} at {entry_point}"
    )


def _parsed(text: str) -> WrapperRecord:
    module, _, rest = text.partition(":")
    name, _, arguments = rest.partition(":")
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
        assert module and name and isinstance(call, ast.Call) and not call.args
        kwargs = {str(one.arg): _value(one.value) for one in call.keywords}
    except Exception:
        # Python's parser fails in five ways.
        raise RequestError(f"expected a student wrapper such as {EXAMPLE}, found {text[:80]!r}") from None
    return {"entry_point": f"{module}:{name}", "kwargs": kwargs}


def _value(node: ast.expr) -> Any:
    """Return a literal; a word that is none is a text, or what it means in other languages."""
    return parse_value(node.id) if isinstance(node, ast.Name) else ast.literal_eval(node)


def _recorded(given: Any) -> WrapperRecord:
    """Return the record of a class, a function, or a partial of one."""
    kwargs = {}
    if isinstance(given, functools.partial) and not given.args:
        given, kwargs = given.func, dict(given.keywords)
    name = asked(given, "__qualname__", "")
    if not (isinstance(given, type) or inspect.isfunction(given)) or not all(map(str.isidentifier, name.split("."))):
        raise RequestError(
            "expected a student wrapper that a file can name: a class or a function of a module, found "
            f"{name or type(given).__name__}"
        )
    return {"entry_point": f"{given.__module__}:{name}", "kwargs": kwargs}
