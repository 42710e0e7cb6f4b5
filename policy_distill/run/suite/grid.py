"""Reads the grid of a suite: a YAML file of teachers, environments, students, seeds and settings.

In: a file that a person wrote, or the same as a dict. Out: a `Grid` whose every word is known, or an error in one line
that names the key, before anything is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.run.suite.grid_settings import OF_COMPRESS, finetuning_of, known_keys, settings_of
from policy_distill.run.suite.grid_teachers import GridTeacher, plain_name, teachers_of
from policy_distill.seeds import USERS
from policy_distill.system.files import read_yaml

MAX_BYTES = 100_000
"""A grid larger than this is none."""
MAX_CELLS = 100_000
KEYS = ("teachers", "envs", "gym_packages", "students", "seeds", "distill", "compress", "finetune", "search")
STUDENT = "mlp:32,32"
"""Where the grid names none."""


@dataclass(frozen=True)
class Grid:
    """What a suite is to make."""

    teachers: tuple[GridTeacher, ...]
    """Agents, each with its environment; one that is tried in several stands here several times."""
    students: tuple[str, ...] = (STUDENT,)
    """Networks to distil; none where the grid only compresses."""
    seeds: tuple[int, ...] = (0,)
    """Training seeds."""
    distill: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `DistillConfig` that are not as they are by themselves."""
    compress: Mapping[str, Any] | None = None
    """What `compress` is asked for, once for each teacher and seed; None for no compression."""
    finetune: Mapping[str, Any] | None = None
    """Settings of `FinetuneConfig`, with which each distilled student goes on; None where none does."""
    search: Mapping[str, Any] | None = None
    """The space of `--search`; None for the usual one."""


def read_grid(path: str | Path, seed: int = 0) -> Grid:
    """Return the grid in a YAML file; `seed` is the training seed where it names none.

    Raises:
        RequestError: in one line, for what cannot be read, a key or setting that there is not, or a value out of range.
    """
    return grid_of(read_yaml(Path(path), MAX_BYTES, "a grid, a YAML file"), str(path), seed)


def grid_of(values: Any, where: str = "grid", seed: int = 0) -> Grid:
    """Return the grid that plain values describe; errors as of `read_grid`, beginning with `where`."""
    if not isinstance(values, dict):
        raise RequestError(f"{where}: expected a mapping with teachers:, found {type(values).__name__}")
    known_keys(values, KEYS, where)
    found = Grid(
        teachers=teachers_of(values, where),
        students=students_of(values.get("students"), where, alone="compress" not in values),
        seeds=_seeds(values.get("seeds", [seed]), f"{where}, seeds"),
        distill=settings_of(values.get("distill"), DistillConfig, {}, f"{where}, distill"),
        compress=_compression(values["compress"], f"{where}, compress") if "compress" in values else None,
        finetune=finetuning_of(values["finetune"], f"{where}, finetune") if "finetune" in values else None,
        search=values.get("search"),
    )
    n_cells = len(found.teachers) * len(found.seeds) * max(1, len(found.students))
    if n_cells > MAX_CELLS:
        raise RequestError(f"{where}: expected at most {MAX_CELLS:,} cells, found {n_cells:,}; split the grid")
    for name in found.students:
        require_student(name, str(found.distill.get("activation", "tanh")), where)
    for part in ("distill", "compress"):
        _check_loss(str((vars(found)[part] or {}).get("loss", "auto")), f"{where}, {part}")
    return found


def students_of(value: Any, where: str, *, alone: bool = True) -> tuple[str, ...]:
    """Return student specifications; `alone` where something must be distilled.

    YAML's short lists divide `mlp:32,32` at its comma: a part that begins with a digit goes on with the one before.
    """
    if value is None:
        return (STUDENT,) if alone else ()
    found: list[str] = []
    for item in value if isinstance(value, list) else [value]:
        text = str(item) if isinstance(item, str | int) and not isinstance(item, bool) else ""
        if not text:
            raise RequestError(f"{where}, students: expected networks such as mlp:32,32, found {item!r}")
        if found and text[:1].isdigit():
            found[-1] += f",{text}"
        else:
            found.append(text)
    folders = Counter(map(plain_name, found))
    alike = [text for text in found if folders[plain_name(text)] > 1]
    if len(set(alike)) > 1:
        raise RequestError(f"{where}, students: expected each network once, found {' and '.join(map(repr, alike))}")
    return _once(found, f"{where}, students")


def _once(items: list[Any], where: str) -> tuple[Any, ...]:
    twice = next((item for item, n in Counter(items).items() if n > 1), None)
    if twice is not None or not items:
        raise RequestError(
            f"{where}: expected at least one, each once, found {'none' if not items else f'{twice} twice'}"
        )
    return tuple(items)


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    seeds = value if isinstance(value, list) else [value]
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < USERS:
            raise RequestError(
                f"{where}: expected whole numbers from 0 to below 2^29, such as [0, 1, 2], found {seed!r}"
            )
    return _once(seeds, where)


def require_student(name: str, activation: str, where: str) -> None:
    """Refuse a network that there is not.

    Raises:
        RequestError: saying which there are.
    """
    # Torch comes with it, and help need not wait for that.
    from policy_distill.training.learners import find_learner

    try:
        find_learner(name).check(name, activation)
    except RequestError as error:
        raise RequestError(f"{where}, students: {error}") from None


def _check_loss(name: str, where: str) -> None:
    # Torch comes with it too.
    from policy_distill.losses.table import make_loss

    try:
        make_loss("forward_kl" if name == "auto" else name)
    except RequestError as error:
        raise RequestError(f"{where}, loss: {error}") from None


def _compression(value: Any, where: str) -> dict[str, Any]:
    """Return what a compression is asked for; its networks are named as a grid's are."""
    if not isinstance(value, dict) or "students" not in value:
        return settings_of(value, DistillConfig, OF_COMPRESS, where)
    others = {name: one for name, one in value.items() if name != "students"}
    students = students_of(value["students"], where)
    return {"students": students, **settings_of(others, DistillConfig, OF_COMPRESS, where)}
