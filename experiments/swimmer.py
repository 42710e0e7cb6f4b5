"""Swimmer-v5: a PPO teacher becomes a student of 180 parameters. Training the teacher takes about an hour.

python -m experiments.swimmer --teacher Swimmer-v3.zip
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import swimmer
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/swimmer")
    student: str = "mlp:16"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=200_000)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, swimmer)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
