"""Three runs whose reports the site shows: a student, the smallest student, and a tree.

python -m experiments.gallery --zoo $POLICY_DISTILL_ZOO
"""

import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from policy_distill import compress, distill
from policy_distill.cli import guarded
from policy_distill.report.page import without_library


@dataclass(frozen=True)
class Config:
    """Where agents are, and where reports go."""

    zoo: Path
    """Folder of the RL Zoo's agents, such as ppo-LunarLander-v2."""
    out: Path = Path("docs/gallery")
    """Folder of the reports, without the plotting library: the site has it put in again."""
    timesteps: int = 20_000
    """Environment steps of each run, at most."""


def main(config: Config) -> None:
    """Make the runs in a folder that is thrown away, by paths that no machine has, and keep their reports."""
    out = config.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"timesteps": config.timesteps, "track": "disabled"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "zoo").symlink_to(config.zoo.resolve(), target_is_directory=True)
        with contextlib.chdir(folder):
            lander, cartpole = "zoo/ppo-LunarLander-v2", "zoo/qrdqn-CartPole-v1"
            distill(lander, "LunarLander-v3", "mlp:16", out="runs/distil", **settings)
            compress(cartpole, "CartPole-v1", 0.95, out="runs/compress", **settings)
            distill(cartpole, "CartPole-v1", "tree:8", out="runs/tree", **settings)
            for name in ("distil", "compress", "tree"):
                page = Path("runs", name, "report.html").read_text(encoding="utf-8")
                (out / f"{name}.html").write_text(without_library(page), encoding="utf-8")


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
