"""LunarLander-v3: a PPO teacher becomes a tree of 64 leaves that a person can read, in about five minutes.

python -m experiments.tree_lunar_lander --teacher LunarLander-v2.zip
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from envs import lunar_lander
from experiments.run import Experiment, run
from policy_distill import DistillConfig
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config(Experiment):
    """Settings of this experiment."""

    out: Path = Path("runs/tree_lunar_lander")
    student: str = "oblique_tree:64"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=100_000)
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, lunar_lander)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
