"""Microseconds of one step of eight environments, by who steps them: this package, Gymnasium or Stable-Baselines3.

python -m experiments.benchmarks.vectors
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from policy_distill.cli import guarded
from policy_distill.collection.collector import Collector
from policy_distill.commands.showing.output import table
from policy_distill.environments.make import make_env
from policy_distill.environments.open import open_environments

N_ENVS = 8


@dataclass(frozen=True)
class Config:
    """What to measure."""

    env_ids: tuple[str, ...] = ("CartPole-v1", "LunarLander-v3")
    """Gymnasium ids."""
    steps: int = 1_000
    """Steps of the vector in one measurement."""
    runs: int = 5
    """Times that each is measured, in turn; medians and ranges are given."""


class Constant:
    """Random actions, drawn beforehand."""

    def __init__(self, actions: np.ndarray) -> None:
        self.actions, self.step = actions, 0

    def predict(self, observation: Any, state: Any = None, *_: Any, **__: Any) -> tuple[np.ndarray, Any]:
        """Return the next ones."""
        self.step += 1
        return self.actions[self.step % len(self.actions)], state


def main(config: Config) -> None:
    """Measure all vectors on each environment in turn and print."""
    for env_id in config.env_ids:
        makers: dict[str, Callable[[], Any]] = {
            "policy-distill": lambda: env_id,  # noqa: B023
            "Gymnasium, SyncVectorEnv": lambda: SyncVectorEnv([lambda: make_env(env_id)] * N_ENVS),  # noqa: B023
            "Gymnasium, AsyncVectorEnv": lambda: AsyncVectorEnv([lambda: make_env(env_id)] * N_ENVS),  # noqa: B023
            "SB3, DummyVecEnv": lambda: DummyVecEnv([lambda: make_env(env_id)] * N_ENVS),  # noqa: B023
            "SB3, SubprocVecEnv": lambda: SubprocVecEnv([lambda: make_env(env_id)] * N_ENVS),  # noqa: B023
        }
        found: dict[str, list[float]] = {name: [] for name in makers}
        for _ in range(config.runs):
            for name, make in makers.items():
                found[name].append(step(make(), config.steps))
        rows = [(name, f"{np.median(v):.0f} [{min(v):.0f}, {max(v):.0f}]") for name, v in found.items()]
        print("\n" + table(rows, (f"{env_id}, {N_ENVS} environments", "microseconds a step")), flush=True)


def step(env: Any, n_steps: int) -> float:
    """Collect with random actions, as a distillation would, and return microseconds of one step of all."""
    with closing(open_environments(env, N_ENVS)) as envs:
        envs.action_space.seed(0)
        actor = Constant(np.stack([[envs.action_space.sample() for _ in range(N_ENVS)] for _ in range(64)]))
        collector = Collector(envs, 0)
        collector.collect(actor, 20, False, 0.0)
        began = time.perf_counter()
        collector.collect(actor, n_steps, False, 0.0)
        spent = time.perf_counter() - began
    if hasattr(env, "close"):
        env.close()
    return 1e6 * spent / n_steps


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
