"""Walker2d-v5: a [256, 256] PPO teacher becomes a student of 5,708 parameters. Training the teacher takes hours.

python -m experiments.walker2d --teacher Walker2d-v3.zip
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import walker2d
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/walker2d")
    student: str = "mlp:64,64"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=200_000)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, walker2d)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
