"""Whether a run of several tasks can be: its names, its settings, its environments, before its first step.

In: what the caller of `distill_many` asks for. Out: the same, known to fit together, and a `Team`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.evaluation.apart.teachers import measured
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.students import Loss
from policy_distill.run.session import Session
from policy_distill.run.settle import check_room, open_fitting, settle
from policy_distill.run.tasks.named import pairs_of
from policy_distill.run.tasks.settings import TaskSettings
from policy_distill.run.tasks.team import Task, Team
from policy_distill.student.runtime import Student, load_student
from policy_distill.teachers.activation import USUAL, activation_for
from policy_distill.teachers.sources import as_teacher
from policy_distill.training.tasks.sharing import BodySpec

ALONE: dict[str, Any] = {
    "objective": "kl",
    "value_weight": 0.0,
    "value_gate": False,
    "reward_weight": 0.0,
    "min_teacher_return": None,
    "drop_worst": 0.0,
    "observe": "",
    "observation_keys": (),
    "observation_names": "",
    "action_names": "",
    "control_hz": 0.0,
    "monitor": False,
    "student_wrapper": "",
    "device": "cpu",
}
"""Settings that a run of several tasks has as they are by themselves: others are of one task, or of one stream."""


@dataclass(frozen=True)
class Asked:
    """What is asked for."""

    teachers: dict[str, Teacher]
    """By the names of the tasks."""
    envs: dict[str, Any]
    losses: dict[str, Loss]
    network: str
    settings: TaskSettings
    config: DistillConfig
    singles: dict[str, int]
    """Parameters of students of one task each; empty where none are given."""

    @classmethod
    def of(
        cls,
        tasks: Sequence[tuple[Any, Any]] | Mapping[str, tuple[Any, Any]],
        network: str,
        settings: TaskSettings,
        config: DistillConfig,
        singles: Mapping[str, Any],
    ) -> Asked:
        """Return it once names, settings and losses are known to fit.

        Raises:
            RequestError: in one line, for what does not.
        """
        pairs = pairs_of(tasks)
        single = BodySpec.of(network).single
        if unknown := sorted(set(singles) ^ set(pairs)) if singles else []:
            raise RequestError(
                "expected a single student for every task or for none, found a different set of names, see "
                f"{unknown[0]}; add or rename it"
            )
        sizes = {name: _n_params(one) for name, one in singles.items()}
        for name, value in ALONE.items():
            if vars(config)[name] != value:
                raise RequestError(
                    f"expected {name} at its default for several tasks, found {vars(config)[name]!r}; leave it out, "
                    "or distil one task with it"
                )
        teachers = {name: as_teacher(teacher, env) for name, (teacher, env) in pairs.items()}
        found = {activation_for(config.activation, teacher) for teacher in teachers.values()}
        # One body has one kind of units.
        activation: Any = found.pop() if len(found) == 1 else USUAL
        config = replace(config, activation=activation, stop="never", passes="fixed")
        settled = {name: settle(teacher, single, config) for name, teacher in teachers.items()}
        for name, (teacher, _, _) in settled.items():
            if settings.balance == "entropy" and teacher.family.name not in DISCRETE:
                raise RequestError(
                    f"expected discrete actions in every task for balance=entropy, found {teacher.family.name} in "
                    f"{name}, which can have an entropy below 0; use balance=divergence"
                )
        return cls(
            {name: teacher for name, (teacher, _, _) in settled.items()},
            {name: env for name, (_, env) in pairs.items()},
            {name: loss for name, (_, _, loss) in settled.items()},
            network,
            settings,
            config,
            sizes,
        )


DISCRETE = ("categorical", "multi_categorical", "bernoulli")
"""Families whose entropy is never below 0."""


def open_team(asked: Asked, scope: ExitStack) -> Team:
    """Open the environments of all tasks within `scope`, and return the team that begins in them.

    Raises:
        RequestError: for what one body cannot take, or a network of which nothing would be shared.
    """
    body, tasks = BodySpec.of(asked.network), dict[str, Task]()
    for name, teacher in asked.teachers.items():
        envs, env = open_fitting(teacher, asked.envs[name], asked.config, scope)
        teacher = measured(teacher, env, asked.config.seed, n_envs=asked.config.n_eval_envs)
        session = Session(teacher, envs, body.single, asked.losses[name], asked.config)
        shape = session.specify(None).featurizer.shape
        if len(shape) != 1:
            raise RequestError(
                f"expected vector observations in every task, as one body needs, found an image {shape} in {name}; "
                f"distil {name} alone with --student cnn:16,32"
            )
        check_room(session)
        tasks[name] = Task(name, session, env)
    counts = {name: task.stream.envs.n_envs for name, task in tasks.items()}
    if len(set(counts.values())) > 1:
        # They come from a caller's own vectors; all tasks take their steps side by side.
        found = ", ".join(f"{n} in {name}" for name, n in counts.items())
        raise RequestError(
            f"expected the same number of environments in every task, found {found}; pass vectors of one size"
        )
    _check_shared(tasks, body, asked)
    return Team(tasks, asked.network, asked.settings, asked.config)


def _check_shared(tasks: Mapping[str, Task], body: BodySpec, asked: Asked) -> None:
    specs = {name: task.session.specify(None) for name, task in tasks.items()}
    (first, one), *others = specs.items()
    if asked.settings.task_blind:
        for name, other in others:
            for what in ("observation_space", "action_space", "family", "action_map", "log_std"):
                left, right = (_plain(vars(spec)[what]) for spec in (one, other))
                if left != right:
                    raise RequestError(
                        f"expected one {what} in all tasks with --task-blind, found two, in {first} and {name}; leave "
                        "--task-blind out"
                    )
    spaces = [spec.observation_space for spec in specs.values()]
    all_differ = all(spaces.count(space) == 1 for space in spaces)
    if body.n_shared == 1 and all_differ and asked.settings.inputs == "own" and not asked.settings.task_blind:
        raise RequestError(
            f"expected a body to share, found {asked.network!r}, with one layer, which is the input layer of each "
            "task; give it two layers, as in mlp:16,16, or use --inputs padded"
        )


def _plain(value: Any) -> Any:
    """Return what can be compared: of a family its name and arguments."""
    return (value.name, value.config()) if hasattr(value, "config") else value


def _n_params(single: Any) -> int:
    return (load_student(single) if isinstance(single, str | Path) else _student(single)).n_params


def _student(value: Any) -> Student:
    if not isinstance(value, Student):
        raise RequestError(f"expected the path of a student of one task, found {type(value).__name__}")
    return value
