"""Seconds of a distillation beside its environment stepped alone and beside a plain script, in turn in one process.

python -m experiments.benchmarks.speed --zoo $POLICY_DISTILL_ZOO
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from experiments.benchmarks.plain import distill_plainly
from experiments.benchmarks.plots import plot_speed
from experiments.benchmarks.tasks import TASKS, Task, make_teacher, prepare
from policy_distill import DistillConfig, distill
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table, widths
from policy_distill.environments.open import open_environments
from policy_distill.environments.wrappers import parse_wrapper
from policy_distill.system.threads import threads_for

OURS, ALONE, PLAIN = "policy-distill", "environment alone", "plain script"


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """Folder of the RL Zoo's pre-trained agents; lunar_lander, half_cheetah and acrobot need it."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(name="task")] = ("cartpole", "lunar_lander", "half_cheetah", "pong")
    """Teachers and environments: cartpole, lunar_lander, half_cheetah, acrobot, pong; the first and the last need no
    zoo."""
    timesteps: int | None = None
    """Environment steps of each; the task's own number where there is none."""
    passes: Literal["auto", "fixed"] = "auto"
    """How many gradient steps a run makes: as many as help, or those of --n-epochs."""
    runs: int = 5
    """Times that each is measured, in turn; medians and ranges are given."""
    out: Path = Path("runs/benchmarks")
    """Folder for teachers made here, speed.json and speed.png."""


def main(config: Config) -> None:
    """Measure each task and print."""
    prepare(config.tasks, config.zoo, config.out, timesteps=config.timesteps, runs=config.runs)
    records = {name: measure(name, config) for name in config.tasks}
    (config.out / "speed.json").write_text(json.dumps(records, indent=2) + "\n")
    plot_speed(records, config.out / "speed.png")
    print(f"{config.out / 'speed.json'}\n{config.out / 'speed.png'}")


def measure(name: str, config: Config) -> dict[str, Any]:
    """Time the three in turn, find the peak of memory, print a task's tables and return its figures."""
    task, teacher = TASKS[name], make_teacher(name, config.zoo, config.out)
    timesteps = config.timesteps or task.timesteps
    stages: list[dict[str, float]] = []
    plan = DistillConfig(timesteps=timesteps, eval_episodes=0, checkpoint_every=0, passes=config.passes)
    jobs: dict[str, Callable[[int], Any]] = {
        ALONE: lambda seed: step_alone(task, timesteps, seed),
        OURS: lambda seed: stages.append(distill(teacher, task.env_id, task.student, config=plan, seed=seed).seconds),
    }
    if task.student.startswith("mlp:"):
        sizes = widths(task.student.removeprefix("mlp:"))
        jobs[PLAIN] = lambda seed: list(distill_plainly(teacher, task.env_id, sizes, timesteps, seed))
    seconds: dict[str, list[float]] = {job: [] for job in jobs}
    for seed in range(config.runs):
        for job, call in jobs.items():
            with threads_for(teacher):
                began = time.perf_counter()
                call(seed)
                seconds[job].append(time.perf_counter() - began)
    record = {
        "env_id": task.env_id,
        "student": task.student,
        "timesteps": timesteps,
        "seconds": seconds,
        "stages": split(stages, seconds[OURS]),
        "memory_mb": peak_memory(name, config, timesteps),
    }
    report(record)
    return record


def split(stages: list[dict[str, float]], wall: list[float]) -> dict[str, float]:
    """Return where the time of our runs went, in median seconds; of what a worker does, how long it was waited for."""
    parts = {
        "environment": [min(run["environment"], run["collect"]) for run in stages],
        "acting": [max(run["collect"] - run["environment"], 0.0) for run in stages],
        "labelling": [run["label"] for run in stages],
        "training": [run["train"] for run in stages],
        "fidelity": [run["evaluate"] for run in stages],
    }
    known = np.sum(list(parts.values()), axis=0)
    parts["the rest"] = list(np.array(wall) - known)
    return {part: float(np.median(values)) for part, values in parts.items()}


def step_alone(task: Task, timesteps: int, seed: int, n_envs: int = 8) -> None:
    """Step the environments with random actions and do nothing else."""
    envs = open_environments(task.env_id, n_envs, [parse_wrapper(text) for text in task.wrappers])
    envs.action_space.seed(seed)
    actions = [np.stack([envs.action_space.sample() for _ in range(n_envs)]) for _ in range(64)]
    for index in range(n_envs):
        envs.reset(index, seed + index)
    for step in range(timesteps // n_envs):
        _, terminated, truncated = envs.step(actions[step % 64])
        for index in np.flatnonzero(terminated | truncated).tolist():
            envs.reset(index, seed + step)
    envs.close()


def peak_memory(name: str, config: Config, timesteps: int) -> dict[str, float]:
    """Return megabytes with everything imported, and how much more at the peak of a run: medians of three processes."""
    command = [sys.executable, "-m", "experiments.benchmarks.memory", "--task", name, "--timesteps", str(timesteps)]
    command += ["--out", str(config.out), *(["--zoo", str(config.zoo)] if config.zoo else [])]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3)]
    return {key: float(np.median([run[key] for run in runs])) for key in runs[0]}


def report(record: dict[str, Any]) -> None:
    """Print medians, ranges and the ratio to the environment, run by run."""
    alone, rows = np.array(record["seconds"][ALONE]), []
    for job, values in record["seconds"].items():
        ratios = np.array(values) / alone
        spread = f"{np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]"
        rows.append((job, f"{np.median(values):.2f}", spread))
    title = f"{record['env_id']}, {record['student']}, {record['timesteps']:,} steps"
    print("\n" + table(rows, (title, "seconds", "ratio to the environment")))
    stages = [(f"{OURS}, {part}", f"{value:.2f}") for part, value in record["stages"].items()]
    memory = record["memory_mb"]
    print("\n" + table([*stages, ("peak memory beyond imports, MB", f"{memory['beyond']:.0f}")]) + "\n", flush=True)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
