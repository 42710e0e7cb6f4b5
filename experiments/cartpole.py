"""CartPole-v1: a [256, 256] PPO teacher becomes a student of 58 parameters.

python -m experiments.cartpole --seeds 0 1 2
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import cartpole
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/cartpole")
    student: str = "mlp:8"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=50_000)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, cartpole)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
