"""Names of environments as users give them: packages, constructor arguments, and records read back from files.

In: `pkg:Id-v0`, `gravity:-5`, an `EnvIdentity`. Out: an environment's name that everything else takes.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from policy_distill.environments.identity import EnvIdentity, identify, named_spec
from policy_distill.environments.make import import_package, is_registered, makes_environments, spec_of
from policy_distill.errors import RequestError
from policy_distill.system.foreign import asked

RESERVED = {"render_mode", *inspect.signature(gymnasium.make).parameters}
"""What `gymnasium.make` takes for itself: an environment's constructor never sees it, or draws by it."""
WORDS = {"true": True, "false": False, "null": None, "none": None}
"""Words that mean a value in other languages: as text they would be true, whichever they are."""
EXAMPLE = "--env-kwargs gravity:-5.0 enable_wind:True"


def parse_value(text: str) -> Any:
    """Return a Python literal, or the text itself where it is a plain word or path.

    Raises:
        ValueError: for what begins as a literal and is none.
    """
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except Exception:
            # In five ways, a nesting that is too deep among them.
            continue
    if text[:1] in "[{('\"":
        raise ValueError(f"{text[:80]!r} is not a literal")
    return text


def parse_kwargs(items: Sequence[str]) -> dict[str, Any]:
    """Parse `key:value` items as the RL Zoo does, values being Python literals.

    Raises:
        RequestError: for an item without a key, a value that is cut off, or a key that `gymnasium.make` keeps.
    """
    kwargs: dict[str, Any] = {}
    for item in items:
        key, colon, value = item.partition(":")
        if not colon or not key.isidentifier():
            raise RequestError(f"expected constructor arguments such as {EXAMPLE}, found {item!r}")
        try:
            kwargs[key] = parse_value(value)
        except ValueError:
            raise RequestError(f"expected a Python literal for {key}, such as {EXAMPLE}, found {value!r}") from None
    return kwargs


def with_kwargs(env: Any, kwargs: Mapping[str, Any] | None) -> Any:
    """Return the name of an environment whose constructor gets `kwargs` too.

    Raises:
        RequestError: for an environment that was made already, an unknown id, or an argument that Gymnasium keeps.
    """
    if not kwargs:
        return env
    if isinstance(env, str | EnvSpec):
        check_own(kwargs)
        spec = env if isinstance(env, EnvSpec) else spec_of(env)
        return named_spec(spec, dict(kwargs), identify(env).module)
    if makes_environments(env):
        return functools.partial(env, **kwargs)
    raise RequestError(
        f"expected an id, an EnvSpec or a callable to give {', '.join(kwargs)} to, found {type(env).__name__}, which "
        "is made already; give them to its constructor"
    )


def check_own(kwargs: Mapping[str, Any]) -> None:
    """Check that arguments are for the environment's constructor.

    Raises:
        RequestError: for an argument that `gymnasium.make` takes for itself.
    """
    own = RESERVED.intersection(kwargs)
    if own:
        raise RequestError(
            f"expected an argument of the environment's constructor, found {min(own)}, which gymnasium.make uses "
            "itself; choose one that changes the environment"
        )


def with_packages(env: str | None, packages: Sequence[str]) -> str | None:
    """Import packages that register environments, and return the id with the one that it comes from.

    Raises:
        RequestError: for a package that cannot be imported.
    """
    source = None
    for package in packages:
        known = env is not None and env in gymnasium.registry
        import_package(package)
        source = package if env in gymnasium.registry and not known else source
    if env is None or ":" in env or not packages:
        return env
    own = identify(env).module
    # Where it was imported before, the package that has the constructor.
    source = source or next((package for package in packages if package.partition(".")[0] == own), None)
    return f"{source}:{env}" if source else env


def working_folder_on_path() -> None:
    """Let packages in the working folder be found, as `python -m` does; behind those that are installed."""
    if not {"", os.getcwd()}.intersection(sys.path):
        sys.path.append(os.getcwd())


def to_env(identity: EnvIdentity) -> str | EnvSpec:
    """Return what a recorded environment is made from, after importing its module where it is not known yet.

    Raises:
        RequestError: where it cannot be made from its record, or not here.
    """
    hint = "name it with --env, or hand it over from Python"
    if identity.missing:
        raise RequestError(f"{identity.text} cannot be made from its record ({identity.missing}); {hint}")
    if not is_registered(identity.id) and identity.module is not None:
        import_package(identity.module)
    if not is_registered(identity.id):
        source = f" by {identity.module}" if identity.module else ""
        raise RequestError(
            f"no environment {identity.id!r} is registered here{source}; import what registers it with --gym-packages, "
            f"or {hint}"
        )
    if identity == identify(identity.id):
        return identity.id
    spec = named_spec(spec_of(identity.id), {}, identity.module)
    # Not on top of the registered ones, which may have changed since.
    spec.kwargs, spec.max_episode_steps = copy.deepcopy(identity.kwargs), identity.max_episode_steps
    spec.additional_wrappers = tuple(_wrapper(one) for one in identity.wrappers)
    return spec


def _wrapper(record: dict[str, Any]) -> WrapperSpec:
    """Return a recorded wrapper once it is known to be one: the record may come from anywhere."""
    module, _, name = record["entry_point"].partition(":")
    found: Any = import_package(module)
    for part in name.split("."):
        found = asked(found, part)
    if not (isinstance(found, type) and issubclass(found, gymnasium.Wrapper)):
        raise RequestError(
            f"expected a Gymnasium wrapper at {record['entry_point']}, found none; set --env, or pass the environment "
            "from Python"
        )
    return WrapperSpec(record["name"], record["entry_point"], record["kwargs"])
