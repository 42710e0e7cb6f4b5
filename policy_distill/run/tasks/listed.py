"""Reads the tasks of one student: a YAML file of teachers, each with its environment.

In: a file that a person wrote. Out: a `ListedTask` for each, whose every word is known, or an error in one line.

    tasks:
    - {path: zoo/ppo-CartPole-v1, env: CartPole-v1}
    - {path: zoo/a2c-Acrobot-v1, env: Acrobot-v1, name: acrobot, single: runs/acrobot/student.safetensors}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.run.suite.grid import MAX_BYTES
from policy_distill.run.suite.grid_settings import known_keys
from policy_distill.run.suite.grid_teachers import KEYS, GridTeacher, teachers_of
from policy_distill.system.files import read_yaml

OF_TASK = ("single", "combine")
"""Keys of a task that no teacher of a grid has."""


@dataclass(frozen=True)
class ListedTask:
    """One task of a file."""

    teacher: GridTeacher
    """The agent, its environment, and how it is loaded; its `name` is empty where the file gives none."""
    named: bool
    """True where the file names it."""
    single: Path | None
    """The student of this task alone, to compare sizes with."""
    combine: str | None = None
    """How several agents of the task say one thing, as of `--combine`."""


def read_tasks(path: Path) -> list[ListedTask]:
    """Return the tasks of a YAML file.

    Raises:
        RequestError: in one line, for what cannot be read, a key that there is not, or an agent that is not there.
    """
    values = read_yaml(path, MAX_BYTES, "a list of tasks, a YAML file")
    if not isinstance(values, dict):
        raise RequestError(f"{path}: expected a mapping with tasks:, found {type(values).__name__}")
    known_keys(values, ("tasks",), str(path))
    entries = values.get("tasks")
    if not isinstance(entries, list) or not entries:
        raise RequestError(f"{path}: expected a list of two or more under tasks, found {entries!r}")
    return [_task(entry, f"{path}, task {number}") for number, entry in enumerate(entries, 1)]


def _task(entry: Any, where: str) -> ListedTask:
    if not isinstance(entry, dict):
        raise RequestError(
            f"{where}: expected a mapping such as {{path: teacher.zip, env: CartPole-v1}}, found {entry!r}"
        )
    known_keys(entry, ("teacher", *OF_TASK, *KEYS), where)
    if ("teacher" in entry) == ("path" in entry):
        raise RequestError(f"{where}: expected path (or teacher), the agent's file or folder, once; name it")
    plain = {"teacher": "path"}
    own = {plain.get(key, key): value for key, value in entry.items() if key not in OF_TASK}
    found = teachers_of({"teachers": [own]}, where)
    if len(found) != 1:
        raise RequestError(f"{where}: expected one agent, found {len(found)} at {own['path']}; name one, or list them")
    single, combine = entry.get("single"), entry.get("combine")
    if single is not None and not isinstance(single, str):
        raise RequestError(f"{where}, single: expected the path of a student, found {single!r}")
    if combine is not None and not isinstance(combine, str):
        raise RequestError(f"{where}, combine: expected a text such as mixture or best, found {combine!r}")
    return ListedTask(found[0], "name" in entry, None if single is None else Path(single), combine)
