"""The teachers of a grid: agents by paths and patterns, each with its environment.

In: what stands under `teachers:`, `envs:` and `gym_packages:`. Out: a `GridTeacher` for each agent and environment.
"""

from __future__ import annotations

import dataclasses
import glob
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.run.suite.grid_settings import known_keys, listed, texts

OPTIONS = ("vecnormalize", "wrapper", "temperature", "algo", "trust")
"""How an agent is loaded, as the options of `distill` say."""
KEYS = ("path", "name", "env", "env_kwargs", "gym_packages", *OPTIONS)
PLAIN = (str, int, float, bool)
"""What an argument of an environment may be, alone or in lists and mappings."""


@dataclass(frozen=True)
class GridTeacher:
    """An agent and where it acts."""

    name: str
    """What its cells are called, and their folder."""
    paths: tuple[Path, ...]
    """Its file or folder, absolute; several that teach together as one."""
    env: str | None = None
    """A Gymnasium id; None for the environment that the agent was trained in."""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of its constructor."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """How the agent is loaded: any of `OPTIONS`."""
    env_name: str = ""
    """What the folder of the environment is called, where that is not its id."""

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What it is loaded from, beside what lies with its file."""
        named = Path(str(self.options.get("vecnormalize", "")))
        return (*self.paths, named) if named.is_file() else self.paths

    @property
    def place(self) -> Path:
        """The folder of its cells, below the suite's."""
        return Path(self.name) / (self.env_name or plain_name(self.env)) if self.env else Path(self.name)


def teachers_of(values: Mapping[str, Any], where: str) -> tuple[GridTeacher, ...]:
    """Return the agents of a grid, one for each environment that it is tried in.

    Raises:
        RequestError: naming what is not as expected.
    """
    entries = listed(values.get("teachers"))
    if not entries:
        raise RequestError(f"{where}: expected agents under teachers, such as - zoo/ppo-LunarLander-v2, found none")
    packages = texts(values.get("gym_packages", []), f"{where}, gym_packages")
    found = [one for entry in entries for one in _teachers(entry, packages, f"{where}, teachers")]
    envs = [_environment(one, f"{where}, envs") for one in listed(values.get("envs"))]
    found = [one for teacher in _named(found, where) for one in ([teacher] if teacher.env else _in_each(teacher, envs))]
    twice = [name for name, n in Counter(str(one.place) for one in found).items() if n > 1]
    if twice:
        raise RequestError(f"{where}, teachers: expected each agent once, found {twice[0]} twice; give one a name:")
    return tuple(found)


def plain_name(text: str) -> str:
    """Return text as the name of a folder."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.") or "cell"


def _teachers(entry: Any, packages: tuple[str, ...], where: str) -> list[GridTeacher]:
    """Return the agents of one entry: a path, a pattern, or a mapping with more."""
    known = entry if isinstance(entry, dict) else {"path": entry}
    known_keys(known, KEYS, where)
    together, paths = isinstance(known.get("path"), list), listed(known.get("path")) or [None]
    found = [one for path in paths for one in _found(path, where)]
    members = [tuple(found)] if together else [(one,) for one in found]
    options = {name: known[name] for name in OPTIONS if name in known}
    for name, value in options.items():
        _check_option(name, value, where)
    if options.get("vecnormalize", "none") != "none":
        options["vecnormalize"] = str(_found(options["vecnormalize"], f"{where}, vecnormalize")[0])
    base = GridTeacher(
        name=_name(known.get("name"), where),
        paths=(),
        env=_text(known.get("env"), f"{where}, env"),
        env_kwargs=_kwargs(known.get("env_kwargs"), where),
        gym_packages=(*packages, *texts(known.get("gym_packages", []), f"{where}, gym_packages")),
        options=options,
    )
    return [dataclasses.replace(base, paths=paths) for paths in members]


def _found(pattern: Any, where: str) -> list[Path]:
    """Return the files and folders of a path or pattern, absolute."""
    if not isinstance(pattern, str) or not pattern:
        raise RequestError(f"{where}: expected the path of an agent, found {pattern!r}")
    try:
        path = Path(pattern).expanduser()
        matching = [str(path)] if path.exists() else sorted(glob.glob(str(path)))
    except (OSError, ValueError, RuntimeError):
        # No path at all: too long, of another user, or with characters that no file's name has.
        matching = []
    if not matching:
        raise RequestError(f"{where}: expected an agent's file or folder, found nothing at {pattern}; check the path")
    return [Path(one).absolute() for one in matching]


def _named(found: list[GridTeacher], where: str) -> list[GridTeacher]:
    """Return agents with the names of their files; where two are alike, with those of their folders before."""
    given = [one.name or plain_name(_stem(one.paths[0])) for one in found]
    often = Counter(given)
    longer = [
        name if one.name or often[name] == 1 else plain_name(f"{one.paths[0].parent.name}-{name}")
        for one, name in zip(found, given, strict=True)
    ]
    return [dataclasses.replace(one, name=name) for one, name in zip(found, longer, strict=True)]


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _environment(entry: Any, where: str) -> GridTeacher:
    """Return an environment, without an agent."""
    known = entry if isinstance(entry, dict) else {"id": entry}
    if set(known) - {"id", "env_kwargs", "name"} or not isinstance(known.get("id"), str) or not known["id"]:
        raise RequestError(
            f"{where}: expected ids such as LunarLander-v3, or {{id, env_kwargs, name}}, found {entry!r}"
        )
    kwargs = _kwargs(known.get("env_kwargs"), where)
    return GridTeacher("", (), known["id"], kwargs, env_name=_name(known.get("name"), where))


def _in_each(teacher: GridTeacher, envs: list[GridTeacher]) -> list[GridTeacher]:
    kwargs = teacher.env_kwargs
    found = [
        dataclasses.replace(teacher, env=one.env, env_kwargs={**kwargs, **one.env_kwargs}, env_name=one.env_name)
        for one in envs
    ]
    return found or [teacher]


def _name(value: Any, where: str) -> str:
    text = _text(value, f"{where}, name") or ""
    if text and plain_name(text) != text:
        raise RequestError(f"{where}, name: expected letters, digits, '-', '_', '+' and '.', found {text!r}")
    return text


def _text(value: Any, where: str) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        raise RequestError(f"{where}: expected a text, found {value!r}")
    return value


def _kwargs(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) and key.isidentifier() for key in value):
        raise RequestError(f"{where}, env_kwargs: expected arguments such as {{gravity: -5.0}}, found {value!r}")
    for key, one in value.items():
        if not _is_plain(one):
            raise RequestError(f"{where}, env_kwargs, {key}: expected a number, a text or a list, found {one!r}")
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    return all(map(_is_plain, value)) if isinstance(value, list) else value is None or isinstance(value, PLAIN)


def _check_option(name: str, value: Any, where: str) -> None:
    if name == "wrapper":
        texts(value, f"{where}, wrapper")
        return
    fits: dict[str, tuple[Any, str]] = {
        "trust": (bool, "true or false"),
        "temperature": ((int, float), "a number"),
        "vecnormalize": (str, "a path"),
        "algo": (str, "the name of an algorithm"),
    }
    kind, words = fits[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and name != "trust"):
        raise RequestError(f"{where}, {name}: expected {words}, found {value!r}")
