"""Functions by which a room hands over what rooms below it make of its own: it knows their names and none of the rooms.

In: where each is at home, which the root of the package announces when it is imported. Out: the function of a name,
imported when it is first asked for, so that a program that only acts pays for nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any

from policy_distill.errors import RequestError

TRAINABLE = "trainable"
"""From a `StudentRecord` to the `nn.Module` that training goes on with."""
SB3_MODEL = "sb3_model"
"""From a `StudentRecord`, an environment and a `CriticRecord` or None to a model of Stable-Baselines3."""
MANY_TASKS = "many_tasks"
"""From the arrays and the record of a file of several tasks, and a runtime, to the student of all of them."""

HOMES: dict[str, str] = {}
"""By these names: `module:function`, where the function may be a class's."""


def announce(homes: Mapping[str, str]) -> None:
    """Say where functions are at home, as of `HOMES`; nothing is imported."""
    HOMES.update(homes)


def announced(name: str) -> Callable[..., Any]:
    """Return the function that was announced under a name."""
    module, _, function = HOMES[name].partition(":")
    found: Callable[..., Any] = attrgetter(function)(import_home(module, name.replace("_", " ")))
    return found


def import_home(module: str, what: str) -> ModuleType:
    """Import a module of the package, which `policy-distill-runtime` alone may not have.

    Raises:
        RequestError: where it has it not; `what` is what was asked for, in words.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != __package__.partition(".")[0]:
            raise
        raise RequestError(
            f"expected policy-distill to be installed for {what}, found policy-distill-runtime alone; "
            "pip install policy-distill"
        ) from None
