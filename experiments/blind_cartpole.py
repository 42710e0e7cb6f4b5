"""CartPole-v1 without speeds: the student sees where cart and pole are, and remembers; its teacher sees everything.

python -m experiments.blind_cartpole --seeds 0 1 2
python -m experiments.blind_cartpole --seeds 0 1 2 --student mlp:32,32 --out runs/blind_cartpole_without_memory
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

    out: Path = Path("runs/blind_cartpole")
    student: str = "gru:16"
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=50_000, observe="0,2")
    )


def main(config: Config) -> None:
    """Run the experiment."""
    run(config, config.config, cartpole)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
    sys.exit(guarded(lambda: main(settings)))
