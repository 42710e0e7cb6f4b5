"""Groups a command's options in panels of its help: teacher, environment, student, training, proof, tracking, folder.

In: a command, a flat dataclass. Out: a dataclass of panels for tyro, from which the command is made again. Options keep
their names; only where the help shows them changes.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import tyro

from policy_distill.config import DistillConfig
from policy_distill.run.finetuning.settings import OF_THE_STUDENT, FinetuneConfig

PANELS: dict[str, tuple[str, ...]] = {
    "teacher": ("teacher", "vecnormalize", "wrapper", "temperature", "algo", "trust"),
    "environment": (
        *("env", "env_kwargs", "gym_packages", "n_envs", "n_eval_envs", "env_restarts", "env_timeout"),
        "max_episode_steps",
    ),
    "student": (
        *("student", "students", "retention", "minimize", "budget", "max_params", "max_bytes", "keep_std", "finetune"),
        *("activation", "observe", "observation_keys", "observation_names", "action_names", "control_hz"),
        *("student_wrapper", "normalize", "monitor"),
    ),
    "training": ("net_arch",),
    "proof": (
        *(
            "episodes",
            "eval_episodes",
            "select_episodes",
            "n_selections",
            "eval_seed",
            "margin",
            "until_certain",
            "max_episodes",
        ),
        *("perturb", "stochastic", "stop_at", "prove"),
    ),
    "tracking": ("track", "project", "group", "tags", "log_gradients"),
    "run folder": (
        *("out", "resume", "overwrite", "checkpoint_every", "checkpoint_minutes", "keep_checkpoints", "video"),
    ),
}
"""Options by where the help shows them; the settings of a distillation that stand nowhere are those of its training."""
TRAINING = tuple(one.name for kind in (DistillConfig, FinetuneConfig) for one in dataclasses.fields(kind))
UNASKED: dict[type[Any], tuple[str, ...]] = {FinetuneConfig: OF_THE_STUDENT}
"""Settings that nobody is asked for."""
NOT_ASKED = "not asked"
"""What a command says in the metadata of a field of its own that is no option."""
PANEL_OF = dict.fromkeys(TRAINING, "training") | {name: panel for panel, names in PANELS.items() for name in names}


class Option(NamedTuple):
    """One option of a command."""

    path: tuple[str, ...]
    """Names of the fields that lead to it, from the command on."""
    kind: Any
    """Its type, with what tyro needs to know."""
    default: Any
    """`dataclasses.MISSING` for a required one."""


def with_panels(command: type[Any]) -> type[Any]:
    """Return a form for tyro that asks for a command's options panel by panel; `make` makes the command of it."""
    fields: list[Any] = []
    panels: dict[str, list[Any]] = {panel: [] for panel in PANELS}
    options = list(_options(command))
    for option in options:
        name = option.path[-1]
        settings: dict[str, Any] = {} if option.default is dataclasses.MISSING else {"default": option.default}
        entry = (name, option.kind, dataclasses.field(**settings, kw_only=True))
        panel = PANEL_OF.get(name)
        (fields if panel is None or _is_positional(option) else panels[panel]).append(entry)
    for panel, entries in panels.items():
        if entries:
            kind = dataclasses.make_dataclass(panel, entries, namespace={"__doc__": ""})
            required = any(entry[2].default is dataclasses.MISSING for entry in entries)
            settings = {} if required else {"default_factory": kind}
            whole = dataclasses.field(kw_only=True, **settings)
            fields.append((f"_{panel}".replace(" ", "_"), Annotated[kind, tyro.conf.arg(name=panel)], whole))
    making = {"make": lambda form: _make(command, options, form), "__doc__": command.__doc__}
    return dataclasses.make_dataclass(command.__name__, fields, namespace=making)


def _make(command: type[Any], options: list[Option], form: Any) -> Any:
    given: dict[str, Any] = {}
    parts = [form, *(value for name, value in vars(form).items() if name.startswith("_"))]
    for option in options:
        place = given
        for name in option.path[:-1]:
            place = place.setdefault(name, {})
        name = option.path[-1]
        place[name] = next(vars(part)[name] for part in parts if name in vars(part))
    return _built(command, given)


def _built(kind: type[Any], given: dict[str, Any]) -> Any:
    hints = get_type_hints(kind)
    return kind(**{name: _built(hints[name], one) if isinstance(one, dict) else one for name, one in given.items()})


def _options(kind: type[Any], path: tuple[str, ...] = ()) -> Iterator[Option]:
    hints, texts = get_type_hints(kind, include_extras=True), _texts(kind)
    for one in dataclasses.fields(kind):
        if one.name in UNASKED.get(kind, ()) or one.metadata.get(NOT_ASKED):
            continue
        hint, here = hints[one.name], (*path, one.name)
        bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(bare):
            yield from _options(bare, here)  # type: ignore[arg-type]
        else:
            text = texts.get(one.name)
            default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
            yield Option(here, hint if text is None else Annotated[hint, tyro.conf.arg(help=text)], default)


def _texts(kind: type[Any]) -> dict[str, str]:
    """Return the sentences under a dataclass's fields, those of its base classes too."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if dataclasses.is_dataclass(one):
            found |= _own_texts(one)
    return found


def _own_texts(kind: type[Any]) -> dict[str, str]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
                found[field.target.id] = " ".join(below.value.value.split())
    return found


def _is_positional(option: Option) -> bool:
    return tyro.conf.Positional in get_args(option.kind)
