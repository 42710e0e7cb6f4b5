"""PongFrames-v0: a DQN or PPO teacher of the RL Zoo's settings becomes a CNN of 30 times fewer parameters.

python -m experiments.pong --seeds 0 1 2

The protocol is that of Rusu et al. (2016, arXiv 1511.06295): the student learns softmax(Q / 0.01), and is compared with
a twentieth of random actions after up to 30 no-ops; sticky actions stand beside. The teacher takes some two hours of
one core.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from envs import pong
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/pong")
    algo: Literal["dqn", "ppo"] = "dqn"
    """What the teacher is trained by; PPO has a distribution of its own: --algo ppo --temperature None."""
    student: str = "cnn:16,32,32+mlp:64"
    temperature: float | None = 0.01
    perturb: bool = True
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=200_000, activation="relu", n_epochs=8, eval_episodes=100)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, pong, pong.TEACHERS[config.algo])


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
