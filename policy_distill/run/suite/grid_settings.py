"""The settings in a grid: every name known, every value in its range.

In: what stands under `distill:`, `compress:` and `finetune:`. Out: the settings that were given, with their values.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.run.finetuning.settings import OF_THE_STUDENT, FinetuneConfig
from policy_distill.system.settings import with_overrides

OF_COMPRESS = {
    "retention": "float",
    "minimize": "str",
    "budget": "int",
    "max_params": "int",
    "max_bytes": "int",
    "keep_std": "bool",
    "finetune": "bool",
}
"""What `compress` is asked for beside the settings of a distillation."""
PLAIN_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def known_keys(values: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    """Refuse a key that there is not.

    Raises:
        RequestError: naming it, and the nearest that there are.
    """
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=3) or known
            raise RequestError(f"{where}: found the unknown key {key!r}; expected {', '.join(near)}")


def texts(value: Any, where: str) -> tuple[str, ...]:
    """Return a text or a list of them as a tuple.

    Raises:
        RequestError: for what is neither.
    """
    items = listed(value)
    if not all(isinstance(item, str) for item in items):
        raise RequestError(f"{where}: expected names, found {value!r}")
    return tuple(items)


def listed(value: Any) -> list[Any]:
    """Return a value as a list: nothing as none, one that is no list alone."""
    return [] if value is None else value if isinstance(value, list) else [value]


def finetuning_of(value: Any, where: str) -> dict[str, Any]:
    """Return the settings of a fine-tuning; `hold: false` lets go of the teacher. Errors as of `settings_of`."""
    for name in OF_THE_STUDENT:
        if isinstance(value, dict) and name in value:
            raise RequestError(f"{where}: {name} comes with the student; leave it out, or set it under distill")
    return settings_of(value, FinetuneConfig, {"hold": "bool"}, where)


def settings_of(value: Any, kind: type[DistillConfig], own: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the settings of a command, each known and in its range.

    `own` are what it takes beside the fields of the config `kind`, by the kind of their values.

    Raises:
        RequestError: naming `where`, the setting, and what was expected.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"{where}: expected settings such as timesteps: 20000, found {value!r}")
    if "seed" in value:
        raise RequestError(f"{where}: expected training seeds under seeds, found seed here; move it there")
    types = {one.name: str(one.type) for one in dataclasses.fields(kind)} | dict(own)
    known_keys(value, [name for name in types if name != "seed"], where)
    found = {name: _plain(one, types[name], f"{where}, {name}") for name, one in value.items()}
    try:
        with_overrides(kind(), {name: one for name, one in found.items() if name not in own}, where)
    except RequestError as error:
        raise RequestError(f"{where}: {error}") from None
    return found


def _plain(value: Any, kind: str, where: str) -> Any:
    """Return a value of a setting; YAML reads 3e-4 as a word, since its numbers need a point."""
    numeric = kind.removesuffix(" | None") in ("int", "float")
    if numeric and isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        number = float(value)
        return int(number) if kind.startswith("int") and number.is_integer() else number
    fits, words = PLAIN_KINDS.get(kind, ((object,), ""))
    if not isinstance(value, fits) or (isinstance(value, bool) and kind != "bool"):
        raise RequestError(f"{where}: expected {words}, found {value!r}")
    return texts(value, where) if kind.startswith("tuple") else value
