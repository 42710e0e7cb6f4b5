"""A student of several tasks in one file: arrays that tasks share are there once. NumPy alone.

In: the arrays and the record of a file, or the students of a run. Out: for each task an ordinary student. Which task it
is has been folded into that: a one-hot input is a bias of the task's own, and an input that a task does not have takes
columns away. So whatever acts as a student, or is exported, needs to know nothing of other tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.action_check import require
from policy_distill.student.check import check_read_back, check_student
from policy_distill.student.file import write_sealed
from policy_distill.student.onboard.origins import StudentProvenance
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student, load_student
from policy_distill.system.records import FLAG, OBJECT, TEXT, Each, dump, load, part

MANY_FORMAT = 5
"""The version of the file's format from which on there may be several tasks; earlier ones refuse it, naming it."""
MOST_TASKS = 100

Places = Mapping[str, Sequence[Any]]
"""For each array of a task's student: the name of the stored array, and how many of its first columns; None for all."""


@dataclass(frozen=True)
class TaskPart:
    """One task in a file."""

    student: Mapping[str, Any] = part(OBJECT, needed=True)
    """The record of its student, as of a file with that alone."""
    arrays: Places = part(OBJECT, needed=True)


@dataclass(frozen=True)
class TasksPart:
    """What a file says of its tasks together."""

    tasks: Mapping[str, TaskPart] = part(Each(TaskPart), needed=True)
    network: str | None = part(TEXT)
    """What the students were made as, such as `mlp:64,64`."""
    inputs: str | None = part(TEXT)
    """How first layers are shared: `own`, one for each observation space, or `padded`, one for all."""
    task_blind: bool | None = part(FLAG)
    """True where all tasks have one and the same network."""


class ManyTasks(Student):
    """What a file of several tasks holds: `task` returns the student of one; what only that can do is refused."""

    def __init__(self, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any], runtime: str = "auto") -> None:
        """Read and check all tasks.

        Raises:
            RequestError, ValueError, KeyError, TypeError, IndexError: where these are none.
        """
        self._stored, self._said, self._runs_on = dict(tensors), dict(metadata), runtime
        said = load(TasksPart, metadata, "the record")
        require(0 < len(said.tasks) <= MOST_TASKS, f"from 1 to {MOST_TASKS} tasks")
        self._tasks = {name: self._read(one) for name, one in said.tasks.items()}
        used = {place[0] for one in said.tasks.values() for place in one.arrays.values()}
        require(used == set(tensors), "arrays of no task")
        self.network, self.inputs, self.task_blind = said.network, said.inputs, bool(said.task_blind)

    def _read(self, one: TaskPart) -> StudentRecord:
        own = {name: cut(self._stored[place[0]], place[1]) for name, place in one.arrays.items()}
        check_student(one.student, own)
        return StudentRecord.of(own, one.student)

    @classmethod
    def joined(
        cls,
        students: Mapping[str, Student],
        places: Mapping[str, Places],
        stored: Mapping[str, np.ndarray],
        *,
        network: str,
        inputs: str,
        task_blind: bool,
    ) -> ManyTasks:
        """Return the student of several tasks whose own arrays lie at `places` in the `stored` ones."""
        parts = {name: TaskPart(one.metadata, places[name]) for name, one in students.items()}
        said = TasksPart(parts, network, inputs, task_blind)
        return cls(stored, {"format_version": MANY_FORMAT, **dump(said)})

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what a student of one task has.

        Raises:
            RequestError: naming the tasks.
        """
        if name.startswith(("__", "_repr", "_ipython")) or "_tasks" not in self.__dict__:
            raise AttributeError(name)
        raise RequestError(
            f"expected one task, found a student of {len(self._tasks)}: {', '.join(self._tasks)}; choose one with "
            "--task NAME (evaluate, compare, info, export, bench, transfer; --format student writes it alone) or "
            ".task(NAME)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as arrays and a record."""
        return ManyTasks, (self._stored, self._said, self._runs_on)

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks, in their order."""
        return tuple(self._tasks)

    @property
    def in_file(self) -> dict[str, Any]:
        """The file's JSON record, of all tasks."""
        return self._said

    @property
    def n_params(self) -> int:
        """Parameters of all tasks together, shared ones counted once."""
        return sum(array.size for array in self._stored.values())

    @property
    def n_bytes(self) -> int:
        """Bytes of these."""
        return sum(array.nbytes for array in self._stored.values())

    def task(self, name: str) -> Student:
        """Return the student of one task, by its name or by the id of its environment.

        Raises:
            RequestError: for a task that there is not, or an id that several have.
        """
        found = [name] if name in self._tasks else [key for key in self._tasks if self._env_id(key) == name]
        if len(found) == 1:
            return Student.of(self._tasks[found[0]], self._runs_on)
        why = f"several tasks in {name}: {', '.join(found)}" if found else repr(name)
        raise RequestError(f"expected a task among {', '.join(self._tasks)}, found {why}; name one of these")

    def _env_id(self, name: str) -> str | None:
        return StudentProvenance.of(self._tasks[name].description.provenance).env_id

    def save(self, path: str | Path) -> Path:
        """Write all tasks to one file and return its path.

        Raises:
            RunFault: where what was written cannot be loaded, or acts otherwise; a file that was there stays.
        """

        def check(new: Path) -> None:
            for name, record in self._tasks.items():
                act, space = Student.of(record, "numpy").act, record.description.observation_space
                check_read_back(new, partial(_load_task, name), act, space)

        write_sealed(path, self._stored, self._said, check)
        return Path(path)


def _load_task(name: str, path: Path, runtime: str) -> Student:
    return load_student(path, runtime).task(name)


def cut(array: np.ndarray, n_columns: Any) -> np.ndarray:
    """Return a stored array, or its first columns as an array of their own.

    Raises:
        ValueError: for columns that are not there.
    """
    if n_columns is None:
        return array
    require(type(n_columns) is int and array.ndim == 2 and 0 < n_columns <= array.shape[1], "columns that there are")
    return np.ascontiguousarray(array[:, :n_columns])
