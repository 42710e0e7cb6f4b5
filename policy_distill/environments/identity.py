"""What an environment is, as far as it can be written down: module, id, constructor arguments, wrappers.

In: whatever names an environment, or one that was made. Out: an `EnvIdentity`, which is JSON in files and becomes an
`EnvSpec` again. Only what Gymnasium registers is made from a file, with arguments that are plain values.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from policy_distill.system.foreign import asked

NOT_OURS = ("render_mode", "num_envs", "vectorization_mode", "vector_kwargs")
"""Arguments that say how an environment is shown or multiplied, not which it is."""
WATCHING = ("Monitor", "RecordEpisodeStatistics", "RecordVideo", "PassiveEnvChecker", "HumanRendering")
"""Wrappers that only look on."""
MAX_LITERAL = 20_000
"""Characters of arguments that are read from a file."""


@dataclass
class NamedSpec(EnvSpec):
    """A specification that knows which module registers it."""

    module: str | None = None


@dataclass(frozen=True)
class EnvIdentity:
    """What is known of an environment."""

    id: str
    """Gymnasium's id, or the name of its class where it has none."""
    module: str | None = None
    """The module to import, which registers the id."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments, the registered ones among them."""
    wrappers: tuple[dict[str, Any], ...] = ()
    """Wrappers around it beside the teacher's, innermost first: `name`, `entry_point`, `kwargs` (None: not known)."""
    max_episode_steps: int | None = None
    """Steps after which an episode is cut off; None for no limit."""
    missing: str = ""
    """Why it cannot be made from this record; empty where it can be."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; arguments that JSON would change are written as Python's literals beside them."""
        arguments = {"kwargs": self.kwargs, "wrappers": [one["kwargs"] for one in self.wrappers]}
        plain = _plain(arguments)
        record: dict[str, Any] = {
            "id": self.id,
            "module": self.module,
            "kwargs": plain["kwargs"],
            "wrappers": [
                {**one, "kwargs": kwargs} for one, kwargs in zip(self.wrappers, plain["wrappers"], strict=True)
            ],
            "max_episode_steps": self.max_episode_steps,
            "remakeable": not self.missing,
        }
        if self.missing:
            record["missing"] = self.missing
        elif plain != arguments:
            record["literal"] = repr(arguments)
        return record

    @property
    def text(self) -> str:
        """The environment in words, such as `pkg:Id-v0 (gravity=-5.0)`."""
        parts = [f"{key}={value!r}" for key, value in self.own_kwargs.items()]
        parts += [f"wrapped in {one['name']}" for one in self.wrappers]
        if self.has_own_limit:
            parts.append(f"max_episode_steps={self.max_episode_steps}")
        name = f"{self.module}:{self.id}" if self.module else self.id
        return f"{name} ({', '.join(parts)})" if parts else name

    @property
    def own_kwargs(self) -> dict[str, Any]:
        """Constructor arguments beside those that are registered here."""
        spec = gymnasium.registry.get(self.id)
        known = spec.kwargs if spec is not None else {}
        return {key: value for key, value in self.kwargs.items() if not _equals(known, key, value)}

    @property
    def has_own_limit(self) -> bool:
        """True where the limit of steps is another than the registered one."""
        spec = gymnasium.registry.get(self.id)
        return spec is not None and spec.max_episode_steps != self.max_episode_steps

    def same_as(self, other: EnvIdentity) -> bool:
        """Say whether both are one environment, by whatever module it is found."""
        one, two = ({**x.to_json(), "module": None, "remakeable": None, "missing": None} for x in (self, other))
        return one == two


def identify(env: str | EnvSpec, beside: Sequence[str] = ()) -> EnvIdentity:
    """Return the identity of what names a registered environment; wrappers named in `beside` are not counted to it."""
    if isinstance(env, str):
        package, _, env_id = env.rpartition(":")
        spec = gymnasium.registry.get(env_id)
        known = EnvIdentity(env_id) if spec is None else identify(spec)
        return dataclasses.replace(known, module=package or known.module)
    # All arguments, the registered ones too: a program may have changed those in the registry itself.
    kwargs: dict[str, Any] = {key: value for key, value in env.kwargs.items() if key not in NOT_OURS}
    module = _named_module(env) or _module_of(env)
    around = [one for one in env.additional_wrappers if one.name not in (*WATCHING, *beside)]
    wrappers = tuple(dataclasses.asdict(one) for one in around)
    missing = what_is_missing(kwargs, wrappers)
    registered = gymnasium.registry.get(env.id)
    if registered is not None and registered.entry_point != env.entry_point:
        missing = missing or f"its constructor is not the one that is registered as {env.id}"
    return EnvIdentity(env.id, module, kwargs, wrappers, env.max_episode_steps, missing)


def identify_made(env: Any, recipe: Any = None, beside: Sequence[str] = ()) -> EnvIdentity:
    """Return what is known of an environment that was made, by the callable `recipe` where there is one."""
    spec = env.spec
    if spec is not None:
        return identify(spec, beside)
    kwargs = {**recipe.keywords} if isinstance(recipe, functools.partial) else {}
    name, module = type(env.unwrapped).__name__, type(env.unwrapped).__module__
    return EnvIdentity(name, module, kwargs, missing="it is not a registered environment")


def identity_from(record: Any) -> EnvIdentity | None:
    """Return the identity that a file holds; None where it holds none, or something else."""
    try:
        kwargs, wrappers, limit = record["kwargs"], record["wrappers"], record["max_episode_steps"]
        if "literal" in record:
            exact = ast.literal_eval(record["literal"]) if len(record["literal"]) <= MAX_LITERAL else {}
            kwargs = exact["kwargs"]
            wrappers = [{**one, "kwargs": own} for one, own in zip(wrappers, exact["wrappers"], strict=True)]
        missing = "" if record["remakeable"] is True else str(record.get("missing") or "it was not recorded")
        wrappers = tuple({key: one[key] for key in ("name", "entry_point", "kwargs")} for one in wrappers)
        known = [record["id"], record["module"] or ""]
        known += [one[key] for one in wrappers for key in ("name", "entry_point")]
    except Exception:
        # A file from elsewhere: Python's parser alone fails in five ways.
        return None
    right = isinstance(kwargs, dict) and all(isinstance(text, str) for text in known)
    right = right and all(isinstance(key, str) for key in kwargs) and (limit is None or type(limit) is int)
    right = right and all(one["kwargs"] is None or isinstance(one["kwargs"], dict) for one in wrappers)
    return EnvIdentity(record["id"], record["module"], kwargs, wrappers, limit, missing) if right else None


def named_spec(spec: EnvSpec, kwargs: dict[str, Any], module: str | None = None) -> NamedSpec:
    """Return a copy of a specification with further constructor arguments."""
    values = {one.name: vars(spec)[one.name] for one in dataclasses.fields(EnvSpec) if one.init}
    values["kwargs"] = copy.deepcopy({**spec.kwargs, **kwargs})
    return NamedSpec(**values, module=module or _named_module(spec))


def _named_module(spec: EnvSpec) -> str | None:
    return spec.module if isinstance(spec, NamedSpec) else None


def _module_of(spec: EnvSpec | None) -> str | None:
    """Return the module that registers an environment; None for Gymnasium's own and for a program that runs.

    A package registers names of what it holds; what is registered as it stands, a class or a function, is registered
    where it is written.
    """
    if spec is None or spec.entry_point is None:
        return None
    point = spec.entry_point
    module = point.partition(":")[0] if isinstance(point, str) else asked(point, "__module__", "")
    top = str(module).partition(".")[0]
    if top in ("", "__main__", "gymnasium", "ale_py"):
        return None
    return top if isinstance(point, str) else str(module)


def _equals(known: dict[str, Any], key: str, value: Any) -> bool:
    # By text: arrays compare to arrays.
    return key in known and repr(known[key]) == repr(value)


def what_is_missing(kwargs: dict[str, Any], wrappers: tuple[dict[str, Any], ...]) -> str:
    """Return why an environment cannot be made from such a record; nothing where it can be."""
    for one in wrappers:
        if one["kwargs"] is None:
            return f"its wrapper {one['name']} does not record its arguments"
    for name, values in (("the environment", kwargs), *((one["name"], one["kwargs"]) for one in wrappers)):
        for key, value in values.items():
            if not _is_literal(value):
                return f"the argument {key} of {name} is a {type(value).__name__}, which no file can hold"
    return ""


def _is_literal(value: Any) -> bool:
    try:
        text = repr(value)
        return len(text) <= MAX_LITERAL and bool(ast.literal_eval(text) == value)
    except Exception:
        return False


def _plain(value: Any) -> Any:
    """Return JSON values; what is none is described."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return f"{type(value).__name__}: {str(value)[:100]}"
