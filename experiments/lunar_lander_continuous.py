"""LunarLanderContinuous-v3: a PPO teacher becomes a student of 1,412 parameters. The teacher takes about half an hour.

python -m experiments.lunar_lander_continuous --seeds 0 1 2
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import lunar_lander_continuous
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/lunar_lander_continuous")
    student: str = "mlp:32,32"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=100_000)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, lunar_lander_continuous)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
