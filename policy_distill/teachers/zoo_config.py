"""What the RL Zoo writes beside an agent: `config.yml` and `args.yml`, read without running anything from them.

Out: the wrappers that the teacher was trained with, and the environment that it was trained in.
"""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from typing import Any

import yaml

from policy_distill.errors import RequestError
from policy_distill.wrappers import WRAPPERS, WrapperSpec

LOG = logging.getLogger("policy_distill")
MAX_BYTES = 1_000_000
"""A configuration larger than this is none."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, and the two tags that the Zoo writes, as plain data."""


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
        if path.is_file():
            break
    else:
        return {}
    if path.stat().st_size > MAX_BYTES:
        raise RequestError(f"expected a configuration at {path}, found {path.stat().st_size:,} bytes; remove it")
    try:
        values = yaml.load(path.read_text(errors="replace"), Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise RequestError(f"{path} cannot be read safely ({reason}); nothing was run. Mend or remove it") from None
    if not isinstance(values, dict):
        raise RequestError(f"expected a mapping in {path}, found {type(values).__name__}; mend or remove it")
    return values


def wrappers_of(zip_path: Path) -> list[WrapperSpec]:
    """Return the wrappers that the Zoo's configuration names, innermost first; unknown ones are warned of."""
    config = read_config(zip_path, "config.yml")
    specs = []
    for entry in _entries(config.get("env_wrapper")):
        full_name, kwargs = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        name = str(full_name).rpartition(".")[-1]
        if name in WRAPPERS:
            specs.append({"name": name, "kwargs": dict(kwargs or {})})
        else:
            LOG.warning(
                "%s was trained with the wrapper %s, which is not known here and not applied", zip_path, full_name
            )
    if config.get("frame_stack"):
        specs.append({"name": "FrameStack", "kwargs": {"n_stack": int(config["frame_stack"])}})
    return specs


def environment_of(zip_path: Path) -> str:
    """Return the id of the environment that an agent was trained in: from `args.yml`, else the zip's name."""
    return str(read_config(zip_path, "args.yml").get("env") or zip_path.stem)


def _entries(value: Any) -> list[Any]:
    """One wrapper, a list of them, or a list written as a string."""
    if value is None:
        return []
    if isinstance(value, str) and value.startswith("["):
        value = ast.literal_eval(value)
    return value if isinstance(value, list) else [value]
