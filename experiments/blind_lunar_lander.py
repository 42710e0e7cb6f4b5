"""LunarLander without speeds: the student sees its place, its tilt and what touches the ground, and remembers.

python -m experiments.blind_lunar_lander --seeds 0 1 2
python -m experiments.blind_lunar_lander --seeds 0 1 2 --student mlp:32,32 --out runs/blind_lunar_lander_without_memory
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

    out: Path = Path("runs/blind_lunar_lander")
    student: str = "gru:32"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=200_000, observe="0,1,4,6,7")
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, lunar_lander)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
