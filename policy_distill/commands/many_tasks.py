"""`policy-distill distill --tasks`: several teachers, each in a task of its own, one student.

In: the options of `distill`. Out: a run folder, and a table of what the student keeps in each task.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_distill.commands.showing.output import Output, table
from policy_distill.errors import RequestError, one_line
from policy_distill.evaluation.parts.tasks_record import TasksRecord
from policy_distill.evaluation.proof.headline import headline
from policy_distill.system.answers import answer
from policy_distill.system.wording import digits

if TYPE_CHECKING:
    from policy_distill.commands.distill import Distill
    from policy_distill.run.tasks.listed import ListedTask

OF_TEACHER = (
    "teacher",
    "combine",
    "env",
    "env_kwargs",
    "gym_packages",
    "vecnormalize",
    "wrapper",
    "temperature",
    "trust",
    "video",
)
"""Options of one teacher, which each task of the file has for itself."""


def distill_listed(command: Distill) -> int:
    """Distil the tasks of the file and show the table.

    Raises:
        RequestError: for an option of one teacher, and what `read_tasks` and `distill_many` refuse.
    """
    from policy_distill.run.tasks.distill_many import distill_many
    from policy_distill.run.tasks.listed import read_tasks
    from policy_distill.tracking.table import check_track

    assert command.tasks is not None
    if given := [name for name in OF_TEACHER if vars(command)[name] not in ((), None, False)]:
        option = f"--{given[0].replace('_', '-')}"
        raise RequestError(
            f"expected {option} for each task in {command.tasks}, found it on the command line; move it to that file"
        )
    if command.algo != "auto" or command.log_gradients or command.staff.workers not in (0, "auto"):
        raise RequestError(
            "expected --algo in the file of --tasks, and neither --log-gradients nor --workers, found one of these; "
            "leave it out"
        )
    check_track(command.track)
    tasks = read_tasks(command.tasks)
    pairs = [_loaded(task) for task in tasks]
    names = _names(tasks, [env for _, env in pairs])
    singles = {name: task.single for name, task in zip(names, tasks, strict=True) if task.single is not None}
    result = distill_many(
        dict(zip(names, pairs, strict=True)),
        command.student,
        **vars(command.sharing),
        singles=singles,
        config=command.config,
        tracker=command.tracker(gradients=False),
        out=command.out,
        resume=command.resume,
        overwrite=command.overwrite,
        progress=not command.json,
        prove=command.prove,
        request={"tasks": str(command.tasks), **vars(command.sharing)},
    )
    Output(command.json).show(result.evaluation, [])
    if not command.json:
        answer(summary_of_tasks(result.record, command.out))
    return 0


def summary_of_tasks(record: TasksRecord, out: Path | None) -> str:
    """Return the tables that end a run: what is kept in each task, in all together, sizes, where the files are."""
    header = ("task", "teacher", "student", "random", "kept, mean", "verdict", "falls", "alone")
    singles = record.singles
    rows = []
    for name, one in (record.tasks or {}).items():
        means = [policy.returns.mean for policy in one.policies.values()]
        shown = ["" if mean is None else digits(mean) for mean in means]
        first, size = headline(one), ((singles.n_params if singles else None) or {}).get(name, "")
        rows.append((name, *shown, first.text(), first.outcome or "", first.falls or "", size))
    lines: list[tuple[Any, ...]] = []
    if (whole := record.together) is not None:
        low, high = whole.ci95 or (None, None)
        bounds = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
        mean = "undefined" if whole.geometric_mean is None else f"{whole.geometric_mean:.3f}{bounds}"
        lines += [("kept, geometric mean [95%]", mean), ("verdicts", record.outcome_words)]
    n_params = record.student.n_params if record.student else None
    lines.append(("parameters", n_params))
    if singles is not None and singles.of_total is not None and singles.of_largest is not None:
        kind = "those that were named" if singles.given else "of the same layers"
        lines.append(
            (
                "against single students",
                f"{singles.of_total:.2f} of all, {singles.of_largest:.2f} of the largest ({kind})",
            )
        )
    lines += [("environment steps", record.env_steps), ("seconds", f"{record.wall_seconds or 0:.1f}")]
    parts = [table(rows, header), table(lines)]
    if out:
        names = ("student.safetensors", "evaluation.json", "metrics.jsonl", "report.html", "wandb")
        parts.append("\n".join(one_line(str(out / name)) for name in names if (out / name).exists()))
    return "\n\n".join(parts)


def _names(tasks: list[ListedTask], envs: list[Any]) -> list[str]:
    """Return the names of the file, and what others are called after their environments."""
    from policy_distill.run.tasks.named import task_names_of

    return task_names_of(envs, [task.teacher.name if task.named else "" for task in tasks])


def _loaded(task: ListedTask) -> tuple[Any, Any]:
    """Return a task's teacher and its environment, with notices of what comes with them."""
    from policy_distill.commands.options.policies import find_env, say_applied
    from policy_distill.teachers.files.agent_file import find_agent
    from policy_distill.teachers.load import load_teacher

    one = task.teacher
    options: dict[str, Any] = {"wrappers" if key == "wrapper" else key: value for key, value in one.options.items()}
    teacher = load_teacher(
        one.paths[0] if len(one.paths) == 1 else list(one.paths),
        env_kwargs=dict(one.env_kwargs),
        combine=task.combine,
        **options,
    )
    kwargs = [f"{key}:{value!r}" for key, value in one.env_kwargs.items()]
    env = find_env(one.env, find_agent(one.paths[0]), teacher, env_kwargs=kwargs, gym_packages=one.gym_packages)
    say_applied(teacher)
    return teacher, env
