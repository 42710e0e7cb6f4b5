"""What the values of pre-trained agents are worth: beside the discounted returns that followed, in raw units.

python -m experiments.benchmarks.values --zoo $POLICY_DISTILL_ZOO

Each agent acts as its value is of: by sampling, and greedily where it has no distribution of its own. A state counts
where its episode ended within the rollout, or nearly all of its return lies within: so there are none of agents whose
discount reaches far beyond the limit of steps (LunarLander's 0.999, Swimmer's 0.9999).
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from policy_distill import load_teacher
from policy_distill.cli import guarded
from policy_distill.collection.actors import TeacherActor
from policy_distill.collection.collector import Collector
from policy_distill.commands.showing.output import table
from policy_distill.environments.open import open_environments

AGENTS = {
    "ppo-BipedalWalker-v3": "BipedalWalker-v3",
    "ppo-HalfCheetah-v3": "HalfCheetah-v4",
    "a2c-Acrobot-v1": "Acrobot-v1",
    "dqn-MountainCar-v0": "MountainCar-v0",
    "qrdqn-CartPole-v1": "CartPole-v1",
}
LEFT = 0.05
"""Of a state's return, the discount of what lies beyond the rollout at most."""
HEADER = ("agent", "discount", "rewards / by", "states", "value, mean", "return, mean", "explained", "correlation")


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path
    """Folder of the RL Zoo's pre-trained agents."""
    agents: tuple[str, ...] = tuple(AGENTS)
    """Folders in it."""
    steps: int = 3000
    """Steps of each of eight environments."""
    seed: int = 0
    """Seed of episodes and actions."""


def main(config: Config) -> None:
    """Measure and print."""
    print(table([row_of(name, config) for name in config.agents], HEADER))


def row_of(name: str, config: Config) -> tuple[Any, ...]:
    """Return what one agent expects, and what came."""
    teacher = load_teacher(config.zoo / name, env=AGENTS[name])
    with closing(open_environments(AGENTS[name], 8, teacher.env_wrappers)) as envs:
        source, actor = Collector(envs, config.seed), TeacherActor(teacher, config.seed)
        columns = ("rewards", "terminated", "truncated")
        rollout = source.collect(actor, config.steps, False, 1.0, columns=columns)
    values = teacher.with_values().label(rollout.obs, rollout.episode_starts).value
    assert values is not None and teacher.discount is not None
    rewards, terminated, truncated = (rollout.columns[column] for column in columns)
    came, known = returns_of(rewards, terminated, truncated, teacher.discount)
    expected, came = values.numpy()[known], came[known]
    explained = 1 - np.var(came - expected) / np.var(came)
    scale = getattr(teacher, "return_scale", 1.0)
    alike = np.corrcoef(expected, came)[0, 1]
    means = (f"{expected.mean():.1f}", f"{came.mean():.1f}")
    return name, teacher.discount, f"{scale:.3g}", f"{len(came):,}", *means, f"{explained:.2f}", f"{alike:.2f}"


def returns_of(
    rewards: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, discount: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return discounted returns to come, `[T, N]`, and where they are known: a limit of steps cuts what was to come."""
    found, left = np.zeros(rewards.shape), np.ones(rewards.shape)
    after, beyond = np.zeros(rewards.shape[1]), np.ones(rewards.shape[1])
    for step in reversed(range(len(rewards))):
        ended = terminated[step] | truncated[step]
        after = rewards[step] + discount * np.where(ended, 0.0, after)
        beyond = np.where(terminated[step], 0.0, np.where(truncated[step], discount, discount * beyond))
        found[step], left[step] = after, beyond
    return found, left <= LEFT


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
