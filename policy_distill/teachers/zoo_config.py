"""What the RL Zoo writes beside an agent: `config.yml` and `args.yml`, read without running anything from them.

Out: the wrappers that the teacher was trained with, and the environment that it was trained in.
"""

from __future__ import annotations

import ast
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from policy_distill.errors import RequestError
from policy_distill.plain_file import read_plain
from policy_distill.wrappers import WRAPPERS, WrapperSpec

LOG = logging.getLogger("policy_distill")
MAX_BYTES = 64_000
"""A configuration larger than this is none."""
MAX_LIST = 2_000
"""Characters of a list that is written as a string."""


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
    """Return `config.yml` or `args.yml` beside a zip (or in the folder of its name); empty where there is none.

    Raises:
        RequestError: for a file that is no YAML mapping, or that names an object to be made.
    """
    for folder in (zip_path.parent, zip_path.with_suffix("")):
        path = folder / name
        if os.path.lexists(path):
            break
    else:
        return {}
    data = read_plain(path, MAX_BYTES, "a configuration of the RL Zoo")
    try:
        values = yaml.load(data.decode(errors="replace"), Loader=_Loader)
    except Exception as error:
        # YAML makes dates, numbers and binaries by itself, each of which fails in its own way.
        reason = " ".join(str(error).split())[:160]
        raise RequestError(f"{path} cannot be read safely ({reason}); nothing was run. Mend or remove it") from None
    if not isinstance(values, dict):
        raise RequestError(f"expected a mapping in {path}, found {type(values).__name__}; mend or remove it")
    return values


def wrappers_of(zip_path: Path) -> list[WrapperSpec]:
    """Return the wrappers that the Zoo's configuration names, innermost first; unknown ones are warned of."""
    config = read_config(zip_path, "config.yml")
    specs = []
    for full_name, kwargs in _entries(config.get("env_wrapper"), zip_path):
        name = full_name.rpartition(".")[-1]
        if name in WRAPPERS:
            specs.append({"name": name, "kwargs": kwargs})
        else:
            LOG.warning(
                "%s was trained with the wrapper %r, which is not known here and not applied", zip_path, full_name
            )
    n_stack = config.get("frame_stack")
    if n_stack:
        if not isinstance(n_stack, int):
            raise _not_understood(zip_path, "frame_stack", n_stack)
        specs.append({"name": "FrameStack", "kwargs": {"n_stack": n_stack}})
    return specs


def environment_of(zip_path: Path) -> str:
    """Return the id of the environment that an agent was trained in: from `args.yml`, else the zip's name."""
    named = read_config(zip_path, "args.yml").get("env") or zip_path.stem
    if not isinstance(named, str):
        raise _not_understood(zip_path, "env", named)
    return named


def _entries(value: Any, zip_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and arguments of one wrapper, a list of them, or a list written as a string."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = ast.literal_eval(value) if len(value) <= MAX_LIST else None
        except Exception:
            value = None
        if value is None:
            raise _not_understood(zip_path, "env_wrapper", "a list")
    for entry in [] if value is None else value if isinstance(value, list) else [value]:
        name, kwargs = next(iter(entry.items()), (None, None)) if isinstance(entry, dict) else (entry, None)
        if not isinstance(name, str) or not isinstance(kwargs or {}, dict):
            raise _not_understood(zip_path, "env_wrapper", entry)
        yield name, dict(kwargs or {})


def _not_understood(zip_path: Path, key: str, value: Any) -> RequestError:
    # Not the value itself: a YAML list may hold itself many times over, and its text would never end.
    found = repr(value[:80]) if isinstance(value, str) else type(value).__name__
    return RequestError(f"the configuration beside {zip_path} has a {key} that is not understood ({found}); mend it")
