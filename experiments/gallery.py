"""Three runs whose reports the site shows: a student, the smallest student, and a tree.

python -m experiments.gallery --zoo $POLICY_DISTILL_ZOO
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from policy_distill import compress, distill
from policy_distill.cli import guarded


@dataclass(frozen=True)
class Config:
    """Where agents are, and where reports go."""

    zoo: Path
    """Folder of the RL Zoo's agents, such as ppo-LunarLander-v2."""
    out: Path = Path("build/gallery")
    """Folder of the reports."""
    timesteps: int = 20_000
    """Environment steps of each run, at most."""


def main(config: Config) -> None:
    """Make the runs, and put their reports beside each other."""
    config.out.mkdir(parents=True, exist_ok=True)
    lander, cartpole = str(config.zoo / "ppo-LunarLander-v2"), str(config.zoo / "qrdqn-CartPole-v1")
    runs = {name: config.out / "runs" / name for name in ("distil", "compress", "tree")}
    settings: dict[str, Any] = {"timesteps": config.timesteps, "overwrite": True}
    distill(lander, "LunarLander-v3", "mlp:16", out=runs["distil"], **settings)
    compress(cartpole, "CartPole-v1", 0.95, out=runs["compress"], **settings)
    distill(cartpole, "CartPole-v1", "tree:8", out=runs["tree"], **settings)
    for name, run in runs.items():
        shutil.copy(run / "report.html", config.out / f"{name}.html")


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
