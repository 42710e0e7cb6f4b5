"""How the cost grows: with environments, with the widths of student and teacher, and with the buffer.

python -m experiments.benchmarks.growth

Each line ends in the exponent of the growth, the slope of cost against size on logarithmic scales: 1 is linear.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from stable_baselines3 import PPO

from experiments.benchmarks.plots import plot_growth
from policy_distill import DistillConfig, distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.system.threads import threads_for
from policy_distill.training.buffer import Buffer
from policy_distill.training.stores import Rows

ENV_ID = "CartPole-v1"
FEATURES, PARAMS, BATCH = 8, 4, 256


@dataclass(frozen=True)
class Config:
    """What to measure."""

    timesteps: int = 32_768
    """Environment steps of each run."""
    runs: int = 3
    """Times that each is measured, in turn; medians are given."""
    n_envs: tuple[int, ...] = (1, 8, 32, 128)
    """Environments side by side."""
    widths: tuple[int, ...] = (16, 64, 256, 512)
    """Units of each of two hidden layers, for students and for teachers."""
    states: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    """States in the buffer."""
    out: Path = Path("runs/benchmarks")
    """Folder for growth.json and growth.png."""


def main(config: Config) -> None:
    """Measure all curves and print them."""
    config.out.mkdir(parents=True, exist_ok=True)
    small = teacher_of(64)
    curves = {
        "environments": curve(config, config.n_envs, lambda n: run(config, small, n_envs=n)),
        "student width": curve(config, config.widths, lambda width: run(config, small, f"mlp:{width},{width}")),
        "teacher width": curve(config, config.widths, lambda width: run(config, teacher_of(width))),
        "states in the buffer": curve(config, config.states, draw),
    }
    for name, points in curves.items():
        report(name, points)
    (config.out / "growth.json").write_text(json.dumps(curves, indent=2) + "\n")
    plot_growth(curves, config.out / "growth.png")
    print(f"{config.out / 'growth.json'}\n{config.out / 'growth.png'}")


def teacher_of(width: int) -> Any:
    """Return a PPO teacher as it is initialised."""
    model = PPO("MlpPolicy", ENV_ID, policy_kwargs={"net_arch": [width, width]}, n_steps=8, batch_size=8, device="cpu")
    return load_teacher(model)


def run(config: Config, teacher: Any, student: str = "mlp:32,32", n_envs: int = 8) -> dict[str, float]:
    """Distil once and return the microseconds of an environment step, stage by stage."""
    plan = DistillConfig(config.timesteps, n_envs=n_envs, n_steps=max(1024 // n_envs, 1), eval_episodes=0)
    seconds = distill(teacher, ENV_ID, student, config=plan).seconds
    cost = {stage: 1e6 * seconds[stage] / config.timesteps for stage in ("collect", "label", "train")}
    return {"microseconds": sum(cost.values()), **cost}


def draw(n_states: int) -> dict[str, float]:
    """Fill a buffer, draw minibatches from it, and return the microseconds of one and the megabytes of storage."""
    buffer = Buffer(Rows(n_states, (FEATURES,)), PARAMS)
    rows = torch.rand(10_000, FEATURES), torch.rand(10_000, PARAMS)
    for _ in range(n_states // 10_000):
        buffer.add(*rows)
    n, generator = 2_000, torch.Generator().manual_seed(0)
    with threads_for():
        began = time.perf_counter()
        for _ in buffer.minibatches(n, BATCH, generator):
            pass
        spent = time.perf_counter() - began
    return {"microseconds": 1e6 * spent / n, "megabytes": buffer.n_bytes / 2**20}


def curve(config: Config, sizes: tuple[int, ...], measure: Callable[[int], dict[str, float]]) -> list[dict[str, float]]:
    """Measure each size in turn, several times, and return the medians."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for _ in range(config.runs):
        for size in sizes:
            found[size].append(measure(size))
    return [
        {"size": size, **{key: float(np.median([one[key] for one in runs])) for key in runs[0]}}
        for size, runs in found.items()
    ]


def exponent(points: list[dict[str, float]]) -> float:
    """Return the steepest slope of cost against size, between neighbours, on logarithmic scales."""
    size, cost = (np.log([point[key] for point in points]) for key in ("size", "microseconds"))
    return float(np.max(np.diff(cost) / np.diff(size)))


def report(name: str, points: list[dict[str, float]]) -> None:
    """Print one curve."""
    keys = list(points[0])
    rows = [tuple(int(point[key]) if key == "size" else point[key] for key in keys) for point in points]
    print("\n" + table(rows, (name, *keys[1:])) + f"\nsteepest exponent: {exponent(points):.2f}", flush=True)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
