"""Seconds of a distillation beside its environment stepped alone and beside a plain script, in turn in one process.

python -m experiments.benchmarks.speed --zoo $POLICY_DISTILL_ZOO --task lunar_lander
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro

from experiments.benchmarks.plain import distill_plainly
from policy_distill import distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.commands.output import table
from policy_distill.environments import open_environments

TASKS = {
    "lunar_lander": ("ppo-LunarLander-v2", "LunarLander-v3"),
    "half_cheetah": ("ppo-HalfCheetah-v3", "HalfCheetah-v5"),
    "acrobot": ("a2c-Acrobot-v1", "Acrobot-v1"),
}


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path
    """Folder of the RL Zoo's pre-trained agents."""
    task: Literal["lunar_lander", "half_cheetah", "acrobot"] = "lunar_lander"
    """Teacher and environment."""
    timesteps: int = 100_000
    """Environment steps of each."""
    runs: int = 5
    """Times that each is measured, in turn; medians and ranges are given."""
    out: Path | None = None
    """A JSON file for the figures."""


def main(config: Config) -> None:
    """Measure and print."""
    folder, env_id = TASKS[config.task]
    teacher = load_teacher(config.zoo / folder)
    widths, stages = (32, 32), []
    torch.set_num_threads(1)

    def ours(seed: int) -> None:
        result = distill(
            teacher, env_id, "mlp:32,32", timesteps=config.timesteps, seed=seed, eval_episodes=0, checkpoint_every=0
        )
        stages.append(result.seconds)

    jobs: dict[str, Callable[[int], Any]] = {
        "environment alone": lambda seed: step_alone(env_id, config.timesteps, seed),
        "policy_distill": ours,
        "plain script": lambda seed: distill_plainly(teacher, env_id, widths, config.timesteps, seed),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for seed in range(config.runs):
        for name, job in jobs.items():
            began = time.perf_counter()
            job(seed)
            seconds[name].append(time.perf_counter() - began)
    report(config, env_id, seconds, stages)


def step_alone(env_id: str, timesteps: int, seed: int, n_envs: int = 8) -> None:
    """Step the environments with random actions and do nothing else."""
    envs = open_environments(env_id, n_envs)
    envs.action_space.seed(seed)
    actions = [np.stack([envs.action_space.sample() for _ in range(n_envs)]) for _ in range(64)]
    for index in range(n_envs):
        envs.reset(index, seed + index)
    for step in range(timesteps // n_envs):
        _, terminated, truncated = envs.step(actions[step % 64])
        for index in np.flatnonzero(terminated | truncated).tolist():
            envs.reset(index, seed + step)
    envs.close()


def report(config: Config, env_id: str, seconds: dict[str, list[float]], stages: list[dict[str, float]]) -> None:
    """Print medians, ranges and the ratio to the environment, run by run; write them as JSON."""
    alone = np.array(seconds["environment alone"])
    rows = []
    for name, values in seconds.items():
        ratios = np.array(values) / alone
        spread = f"{np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]"
        rows.append((name, f"{np.median(values):.2f}", spread))
    print(table(rows, (f"{env_id}, {config.timesteps:,} steps", "seconds", "ratio to the environment")))
    medians = {stage: float(np.median([one[stage] for one in stages])) for stage in stages[0]}
    print("\n" + table([(f"policy_distill, {stage}", f"{value:.2f}") for stage, value in medians.items()]))
    if config.out:
        record = {"env_id": env_id, "timesteps": config.timesteps, "seconds": seconds, "stages": stages}
        config.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
