"""What the RL Zoo writes beside an agent, read without running anything from it.

In: the path of an agent. Out: the settings of `config.yml` and `args.yml`: the environment, its constructor arguments,
the packages that register it, and whether observations were normalised.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from policy_distill.errors import RequestError
from policy_distill.system.files import read_plain
from policy_distill.teachers.algorithm_names import NAMES
from policy_distill.teachers.files.companions import folders_of
from policy_distill.teachers.files.literals import read_literal

MAX_BYTES = 64_000
"""A configuration larger than this is none."""
MAX_ARGUMENTS = 100
"""Constructor arguments of an environment."""
MAX_PARTS = 1_000
"""Numbers, words and lists in all of these."""
OF_GYMNASIUM = ("render_mode",)
"""Constructor arguments that say how an environment is drawn, and nothing of its world."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, and the two tags that the Zoo writes, as plain data."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse merged mappings: each may repeat those before it twice, so that a few lines never end."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "a merged mapping, which the Zoo does not write")


def _ordered(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    assert isinstance(node, yaml.SequenceNode)
    (pairs,) = loader.construct_sequence(node, deep=True)
    return {key: value for key, value in pairs}


def _tuple(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:python/object/apply:collections.OrderedDict", _ordered)
_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)


def read_config(zip_path: Path, name: str) -> dict[str, Any]:
    """Return a configuration of an agent, from the first of `folders_of` that has it; empty where none has.

    Raises:
        RequestError: for a file that is no YAML mapping, or that names an object to be made.
    """
    path = find_config(zip_path, name)
    if path is None:
        return {}
    return parse_mapping(read_plain(path, MAX_BYTES, "a configuration of the RL Zoo"), path)


def parse_mapping(data: bytes, path: Path) -> dict[str, Any]:
    """Return the mapping that YAML of `path` says, empty for none; nothing is run.

    Raises:
        RequestError: for anything else, or for what names an object to be made.
    """
    try:
        values = yaml.load(data.decode(errors="replace"), Loader=_Loader)
    except Exception as error:
        # YAML makes dates, numbers and binaries by itself, each of which fails in its own way.
        reason = " ".join(str(error).split())[:160]
        raise RequestError(f"{path} cannot be read safely ({reason}); nothing was run. Fix or remove it") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise RequestError(f"expected a mapping in {path}, found {type(values).__name__}; fix or remove it")
    return values


def find_config(zip_path: Path, name: str) -> Path | None:
    """Return where a configuration of an agent lies; None where it has none."""
    return next((path for folder in folders_of(zip_path) if os.path.lexists(path := folder / name)), None)


def normalized_by(zip_path: Path) -> bool | None:
    """Say whether `config.yml` has observations normalised; None where there is none.

    Raises:
        RequestError: for a `normalize` that is neither a truth value nor arguments of `VecNormalize`.
    """
    if find_config(zip_path, "config.yml") is None:
        return None
    config = read_config(zip_path, "config.yml")
    value = config.get("normalize", False)
    wrappers = config.get("vec_env_wrapper")
    for entry in wrappers if isinstance(wrappers, list) else [wrappers]:
        name = next(iter(entry), None) if isinstance(entry, dict) else entry
        if isinstance(name, str) and name.endswith("VecNormalize"):
            return True
    arguments = _literal(zip_path, "normalize", value) if isinstance(value, str) else value
    if isinstance(arguments, dict):
        return bool(arguments.get("norm_obs", True))
    if arguments is None or isinstance(arguments, bool):
        return bool(arguments)
    raise not_understood(zip_path, "normalize", value)


def env_kwargs_of(zip_path: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the constructor arguments that an agent's environment was made with; those `given` go before, key by key.

    Those of `args.yml` replaced those of `config.yml` in training; the hub's `env_kwargs.yml` repeats them.

    Raises:
        RequestError: where they cannot be read, or two files have different values for one.
    """
    sources = [
        ("args.yml", read_config(zip_path, "args.yml").get("env_kwargs")),
        ("config.yml", read_config(zip_path, "config.yml").get("env_kwargs")),
        ("env_kwargs.yml", read_config(zip_path, "env_kwargs.yml")),
    ]
    found: dict[str, Any] = {}
    given, where = given or {}, ""
    for name, value in sources:
        arguments = _arguments(zip_path, name, value)
        if not found:
            found, where = arguments, name
        for key in (arguments.keys() & found.keys()) - given.keys():
            if arguments[key] != found[key]:
                raise RequestError(
                    f"{where} and {name} beside {zip_path} have different values of {key!r} for the environment; "
                    "choose with --env-kwargs (env_kwargs in Python)"
                )
    return {**found, **given}


def packages_of(zip_path: Path) -> list[str]:
    """Return the packages that the RL Zoo imported to register the environment; nothing here imports them."""
    value = read_config(zip_path, "args.yml").get("gym_packages") or []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise not_understood(zip_path, "gym_packages", value)
    return value


def environment_of(zip_path: Path) -> str:
    """Return the id of the environment that an agent was trained in: from `args.yml`, else the zip's name.

    The hub's files are called by the algorithm and the environment.
    """
    named = read_config(zip_path, "args.yml").get("env")
    if named is None:
        algorithm, _, rest = zip_path.stem.partition("-")
        named = rest if algorithm in NAMES and rest else zip_path.stem
    if not isinstance(named, str):
        raise not_understood(zip_path, "env", named)
    return named


def not_understood(zip_path: Path, key: str, value: Any) -> RequestError:
    """Return the error for a setting of another kind than the RL Zoo writes."""
    # Not the value itself: a YAML list may hold itself many times over, and its text would never end.
    found = repr(value[:80]) if isinstance(value, str) else type(value).__name__
    return RequestError(f"the configuration beside {zip_path} has a {key} that is not understood ({found}); fix it")


def _arguments(zip_path: Path, name: str, value: Any) -> dict[str, Any]:
    """Return constructor arguments from a mapping, from text, or from words such as `gravity:-5`."""
    if isinstance(value, str):
        value = _literal(zip_path, f"env_kwargs in {name}", value)
    if isinstance(value, list) and all(isinstance(word, str) and ":" in word for word in value):
        pairs = [word.split(":", 1) for word in value[:MAX_ARGUMENTS]]
        value = {key: _literal(zip_path, f"env_kwargs in {name}", text) for key, text in pairs}
    if not isinstance(value or {}, dict) or not all(isinstance(key, str) for key in value or {}):
        raise not_understood(zip_path, f"env_kwargs in {name}", value)
    found = {key: one for key, one in (value or {}).items() if key not in OF_GYMNASIUM}
    if not _is_plain(found):
        raise not_understood(zip_path, f"env_kwargs in {name}", value)
    return found


def _is_plain(value: Any) -> bool:
    """Say whether a value is of plain parts, and of few: a YAML list may hold itself many times over."""
    parts, seen = [value], 0
    while parts:
        part, seen = parts.pop(), seen + 1
        if seen > MAX_PARTS or not isinstance(part, bool | int | float | str | list | dict | None):
            return False
        if isinstance(part, list | dict):
            parts += [*part.keys(), *part.values()] if isinstance(part, dict) else part
    return True


def _literal(zip_path: Path, key: str, text: str) -> Any:
    try:
        return read_literal(text)
    except ValueError:
        raise not_understood(zip_path, key, text) from None
