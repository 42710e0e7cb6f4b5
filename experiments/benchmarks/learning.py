"""Steps and seconds until a student reaches 95% and 99% of its teacher's return, beside the plain script.

python -m experiments.benchmarks.learning --zoo $POLICY_DISTILL_ZOO

After each rollout (of 1,024 steps; from 32,768 steps on, every eighth) the student's deterministic return is measured
on the same episodes as the teacher's, on seeds that training never sees; this takes no part in the seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.benchmarks.plain import distill_plainly
from experiments.benchmarks.plots import plot_learning
from experiments.benchmarks.speed import OURS, PLAIN
from experiments.benchmarks.tasks import TASKS, Task, make_teacher, prepare
from policy_distill import DistillConfig
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table, widths
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.evaluation.episodes import run_episodes
from policy_distill.losses.table import choose_loss
from policy_distill.run.session import Session
from policy_distill.system.threads import threads_for

SHARES = (0.95, 0.99)
ROLLOUT = 1_024
LOOK_SEED = 20_000
"""First episode seed of the looks at the student."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """Folder of the RL Zoo's pre-trained agents."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(name="task")] = ("lunar_lander", "half_cheetah")
    """Teachers and environments, as for speed."""
    timesteps: int = 100_000
    """Environment steps of each run."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    out: Path = Path("runs/benchmarks")
    """Folder for learning.json and learning.png."""


def main(config: Config) -> None:
    """Measure each task and print."""
    # The plain script's rollouts are of 1,024 steps, so it has no student before.
    prepare(config.tasks, config.zoo, config.out, timesteps=config.timesteps, seeds=len(config.seeds))
    if config.timesteps < ROLLOUT:
        raise RequestError(f"expected at least {ROLLOUT} for --timesteps, found {config.timesteps}")
    for name in config.tasks:
        if not TASKS[name].student.startswith("mlp:"):
            raise RequestError(f"expected tasks whose student the plain script can train, found {name}")
    records = {name: measure(name, config) for name in config.tasks}
    (config.out / "learning.json").write_text(json.dumps(records, indent=2) + "\n")
    plot_learning(records, config.out / "learning.png")
    print(f"{config.out / 'learning.json'}\n{config.out / 'learning.png'}")


def measure(name: str, config: Config) -> dict[str, Any]:
    """Run both methods on each seed and return their curves."""
    task, teacher = TASKS[name], make_teacher(name, config.zoo, config.out)
    sizes = widths(task.student.removeprefix("mlp:"))
    runs: dict[str, list[Any]] = {OURS: [], PLAIN: []}
    with closing(open_environments(task.env_id, task.n_episodes, teacher.env_wrappers)) as envs, threads_for(teacher):
        goal = float(run_episodes(teacher, envs, task.n_episodes, LOOK_SEED, True).returns.mean())
        for seed in config.seeds:
            for method, students in (
                (OURS, distill_stepwise(teacher, task, config.timesteps, seed)),
                (PLAIN, distill_plainly(teacher, task.env_id, sizes, config.timesteps, seed)),
            ):
                runs[method].append(curve(students, envs, task.n_episodes))
    record = {"env_id": task.env_id, "student": task.student, "teacher": goal, "runs": runs}
    report(record, config.timesteps)
    return record


def distill_stepwise(teacher: Any, task: Task, timesteps: int, seed: int) -> Iterator[tuple[int, Any]]:
    """Distil as `policy_distill.distill` does, and yield steps and student after each rollout."""
    config = DistillConfig(timesteps=timesteps, seed=seed)
    with closing(open_environments(task.env_id, config.n_envs, teacher.env_wrappers)) as envs:
        session = Session(teacher, envs, task.student, choose_loss(config.loss, teacher.family), config)
        while not session.stream.done:
            rollout = session.collect()
            session.learn(rollout, session.stream.label(rollout))
            yield session.stream.env_steps, session.learner.student()


def curve(students: Iterator[tuple[int, Any]], envs: Any, n_episodes: int) -> list[dict[str, float]]:
    """Return steps, processor seconds so far and mean return along a run."""
    points: list[dict[str, float]] = []
    seconds, iteration = 0.0, 0
    while True:
        began = time.process_time()
        item = next(students, None)
        seconds += time.process_time() - began
        if item is None:
            return points
        env_steps, student = item
        iteration += 1
        if iteration <= 32 or iteration % 8 == 0:
            returns = run_episodes(student, envs, n_episodes, LOOK_SEED, True).returns
            points.append({"env_steps": env_steps, "seconds": seconds, "return": float(returns.mean())})


def first(points: list[dict[str, float]], teacher: float, share: float) -> dict[str, float] | None:
    """Return the first point with a return of at least `share` of the teacher's; None where there is none."""
    least = teacher - (1 - share) * abs(teacher)
    return next((point for point in points if point["return"] >= least), None)


def report(record: dict[str, Any], timesteps: int) -> None:
    """Print the medians over seeds; a seed that never gets there counts as later than all others."""
    rows = []
    for method, runs in record["runs"].items():
        cells = []
        for share in SHARES:
            found = [first(points, record["teacher"], share) for points in runs]
            steps = np.median([point["env_steps"] if point else np.inf for point in found])
            seconds = np.median([point["seconds"] if point else np.inf for point in found])
            n = sum(point is not None for point in found)
            cells.append(
                f"{steps:,.0f} steps, {seconds:.2f} s ({n} of {len(found)})" if n * 2 > len(found) else "never"
            )
        last = np.array([points[-1]["return"] for points in runs]) / record["teacher"]
        rows.append((method, *cells, f"{np.median(last):.3f} [{last.min():.3f}, {last.max():.3f}]"))
    title = f"{record['env_id']}, {record['student']}"
    print("\n" + table(rows, (title, *(f"to {share:.0%}" for share in SHARES), f"share at {timesteps:,}")), flush=True)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
