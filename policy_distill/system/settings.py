"""Settings as frozen dataclasses: what their fields may hold, and how a caller changes some of them by name.

In: a record of settings. Out: another one, or an error that names the field.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any, TypeVar

from policy_distill.errors import RequestError
from policy_distill.system.ranges import NUMBERS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


def check_numbers(settings: DataclassInstance) -> None:
    """Refuse a field that is annotated as a number and holds none.

    Raises:
        RequestError: naming it.
    """
    for field in dataclasses.fields(settings):
        told = str(field.type)
        kind, value = NUMBERS.get(told.removesuffix(" | None")), vars(settings)[field.name]
        left_open = value is None and told.endswith(" | None")
        if kind and not left_open and (not isinstance(value, kind) or isinstance(value, bool)):
            require_setting(False, field.name, f"a number ({field.type})", value)


def require_setting(condition: bool, name: str, expected: str, found: object) -> None:
    """Refuse a setting that is not as `expected`.

    Raises:
        RequestError: naming it, and what was found.
    """
    if not condition:
        raise RequestError(
            f"{name} must be {expected}, but is {found!r}; set it with {name}=… or --{name.replace('_', '-')}"
        )


def with_overrides(config: C, overrides: dict[str, Any], command: str) -> C:
    """Return the settings of a command with `overrides` applied.

    Raises:
        RequestError: for an unknown name, with the nearest valid ones, or a value out of range.
    """
    names = [field.name for field in dataclasses.fields(config)]
    for name in overrides:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
            raise RequestError(f"{command} has no setting {name!r}; nearest: {', '.join(near)}")
    return dataclasses.replace(config, **overrides)
