"""Acrobot-v1: a PPO teacher with normalised observations becomes a student of 83 parameters.

python -m experiments.acrobot --seeds 0 1 2
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import acrobot
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/acrobot")
    student: str = "mlp:8"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=50_000)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, acrobot)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
