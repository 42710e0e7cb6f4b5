"""MinAtar/Breakout-v1: a PPO teacher with a small CNN becomes a CNN of 30 times fewer parameters.

python -m experiments.minatar_breakout --seeds 0 1 2 --perturb
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import minatar_breakout
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/minatar_breakout")
    student: str = "cnn:16+mlp:12"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=200_000, activation="relu")
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, minatar_breakout)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
