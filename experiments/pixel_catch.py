"""PixelCatch-v0: a PPO teacher with the CNN of Atari agents becomes a small CNN.

python -m experiments.pixel_catch --seeds 0 1 2
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import pixel_catch
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/pixel_catch")
    student: str = "cnn:8,8"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=20_000, activation="relu")
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, pixel_catch)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
