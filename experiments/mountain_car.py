"""MountainCar-v0: a [256, 256] DQN teacher becomes a student of 371 parameters.

python -m experiments.mountain_car --seeds 0 1 2
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import mountain_car
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/mountain_car")
    student: str = "mlp:16,16"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=100_000)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, mountain_car)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
