"""The picture of the README: a teacher and its student, drawn from the run of `policy-distill compress` that found it.

python -m experiments.picture runs/small --teacher ppo-LunarLander-v2 --out docs/pictures/lander.png
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.networks_drawn import draw
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config:
    """What is drawn."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder of LunarLander's student."""
    teacher: Path
    """Its teacher, a feed-forward PPO."""
    out: Path = Path("docs/pictures/lander.png")
    """Where the picture goes."""
    episodes: int = 8
    """Landings of each that are drawn, of the same seeds, from 1,000,000 on as in the proof."""


def main(config: Config) -> None:
    """Draw the picture."""
    draw(config.run, config.teacher, config.out, config.episodes)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
