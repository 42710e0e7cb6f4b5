"""What L2, early stopping and more states do about over-fitting: the section Regularisation.

python -m experiments.regularisation --zoo ~/rl-trained-agents --task cartpole acrobot mountain_car --seeds 0 1 2

In: agents of the RL Zoo. Out: for each agent, way and training seed a student of few states and many passes, how far it
is from its teacher on the states that it learnt from, on new ones and on fresh episodes of its own; and the section of
RESULTS.md. It goes on where it was stopped.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.compression_table import with_section
from policy_distill import distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.errors import RequestError
from policy_distill.student.file import write_atomically
from policy_distill.tracking.jsonl import read_metrics

SECTION = "## Regularisation"
TASKS = ("cartpole", "acrobot", "mountain_car", "pendulum")
STUDENT = "mlp:64,64"
MORE = 4
"""Times as many states, in one of the ways."""
WAYS: dict[str, Mapping[str, Any]] = {
    "nothing": {"passes": "fixed"},
    "L2 of 1e-4": {"passes": "fixed", "weight_decay": 1e-4},
    "L2 of 1e-2": {"passes": "fixed", "weight_decay": 1e-2},
    # Fewer gradient steps as soon as they no longer help on states that are held out.
    "early stopping": {"passes": "auto"},
    f"{MORE} x as many states": {"passes": "fixed"},
}


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; by itself what POLICY_DISTILL_ZOO says."""
    task: tuple[str, ...] = ("cartpole", "acrobot", "mountain_car")
    """Tasks, by the names of their experiments."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    timesteps: int = 2_048
    """Environment steps of each student, but for the way with more."""
    n_epochs: int = 64
    """Gradient passes over each state."""
    out: Path = Path("runs/regularisation")
    """Folder of all runs; what is done in it is left alone."""
    results: Path = Path("RESULTS.md")
    """The file whose section is written."""


@dataclass(frozen=True)
class Measured:
    """How far one student is from its teacher, in nats."""

    env_id: str
    way: str
    learnt: float
    """Divergence on the states of the buffer, in the last third of the rollouts."""
    new: float
    """The same on each rollout before it is learnt from."""
    fresh: float
    """On episodes of its own after the run."""
    agreement: float
    """Share of actions that are the teacher's there."""


def main(config: Config) -> None:
    """Run what is left, and write the section anew after each task."""
    found: list[Measured] = []
    for task in config.task:
        if task not in TASKS:
            raise RequestError(f"expected --task among {', '.join(TASKS)}, found {task!r}")
        for way in WAYS:
            found += [measured(config, task, way, seed) for seed in config.seeds]
            print(f"{task}, {way}: {' '.join(f'{one.fresh:.3f}' for one in found[-len(config.seeds) :])}", flush=True)
        before = config.results.read_text() if config.results.exists() else ""
        write_atomically(config.results, with_section(before, SECTION, markdown(found, config)).encode())


def measured(config: Config, task: str, way: str, seed: int) -> Measured:
    """Return how far a student is from its teacher, that was trained in one of the ways."""
    module: Any = importlib.import_module(f"envs.{task}")
    folder = config.out / task / f"{list(WAYS).index(way)}-{seed}"
    if not (folder / "evaluation.json").exists():
        zoo = config.zoo or Path(os.environ.get("POLICY_DISTILL_ZOO", ""))
        steps = config.timesteps * (MORE if "states" in way else 1)
        settings: dict[str, Any] = {"seed": seed, "timesteps": steps, "n_epochs": config.n_epochs, "stop": "never"}
        settings |= {"n_envs": 4, "n_steps": 64, "eval_episodes": 0, "select_episodes": 0, "track": "disabled"}
        teacher = load_teacher(zoo / module.ZOO, env=module.ENV_ID)
        distill(teacher, module.ENV_ID, STUDENT, out=folder, overwrite=True, **settings, **WAYS[way])
    rows = [row for row in read_metrics(folder / "metrics.jsonl") if "train/loss" in row]
    last = rows[-max(1, len(rows) // 3) :]
    learnt, new = (float(np.mean([row[name] for row in last])) for name in ("train/loss", "train/kl"))
    record = json.loads((folder / "evaluation.json").read_text())
    return Measured(module.ENV_ID, way, learnt, new, record["kl"], record["agreement"])


def markdown(found: Sequence[Measured], config: Config) -> str:
    """Return the section of RESULTS.md."""
    header = ("environment", "way", "learnt from", "new", "new / learnt from", "fresh episodes", "agreement there")
    tasks = " ".join(config.task[: len({one.env_id for one in found})])
    lines = [
        SECTION,
        "",
        f"Made by `python -m experiments.regularisation --task {tasks}`; no figure is written by hand. Divergence",
        f"from the teacher in nats of {STUDENT}, with few states ({config.timesteps:,}) and many passes",
        f"({config.n_epochs}): on the buffer and on each rollout before it was learnt from, in the last third of the",
        "rollouts; and on fresh episodes of its own afterwards. Mean over",
        f"{len(config.seeds)} training seeds, with their range on fresh episodes.",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
    ]
    for env_id, way in dict.fromkeys((one.env_id, one.way) for one in found):
        seeds = [one for one in found if (one.env_id, one.way) == (env_id, way)]
        learnt, new, fresh, same = (
            np.array([getattr(one, name) for one in seeds]) for name in ("learnt", "new", "fresh", "agreement")
        )
        cells = (f"{learnt.mean():.4f}", f"{new.mean():.4f}", f"{new.mean() / learnt.mean():.1f}")
        spread = f"{fresh.mean():.4f}, range {fresh.min():.4f} to {fresh.max():.4f}"
        lines.append(f"| {' | '.join((env_id, way, *cells, spread, f'{same.mean():.3f}'))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
