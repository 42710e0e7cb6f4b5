"""The smallest student of each agent in a folder of them that is proven to keep 95% of its gain: table COMPRESSION.

python -m experiments.compression --zoo ~/rl-trained-agents --task cartpole lunar_lander --seeds 0 1 2

In: agents of the RL Zoo. Out: a run folder for each agent and seed, one distillation of the network that won beside
it for what a single run costs, and the table in RESULTS.md. It goes on where it was stopped. A cell that fails is
said, and the others are run all the same.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from experiments.compression_table import SECTION, Cell, markdown, read_cells, rows_of, with_section
from policy_distill import DistillConfig, compress, distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.errors import RequestError, RunFault, one_line
from policy_distill.interfaces.policies import Teacher
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.student.file import write_atomically

TIMESTEPS = {
    "cartpole": 20_000,
    "acrobot": 20_000,
    "pendulum": 50_000,
    "mountain_car": 100_000,
    "lunar_lander": 100_000,
    "swimmer": 50_000,
    "half_cheetah": 300_000,
    "walker2d": 300_000,
}
"""Environment steps of the stream that all students of a task learn from; the quickest task first."""

EPISODES = {"half_cheetah": 1_000, "walker2d": 1_000}
"""Episodes of the proof, at most, where the teacher falls now and then: returns that scatter take more of them."""

RETENTION = 0.95
"""Share of the teacher's gain over a random policy that is to be kept."""


@dataclass(frozen=True)
class Config:
    """What to compress."""

    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; by itself what POLICY_DISTILL_ZOO says."""
    task: tuple[str, ...] = tuple(TIMESTEPS)
    """Tasks, by the names of their experiments."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One compression of each task for each."""
    timesteps: int | None = None
    """Environment steps of each stream; those of the task by itself."""
    out: Path = Path("runs/compression")
    """Folder of all runs; what is done in it is left alone."""
    results: Path = Path("RESULTS.md")
    """The file whose table is written."""
    track: Literal["offline", "online", "trackio", "disabled"] = "disabled"
    """Weights & Biases, or trackio."""


def main(config: Config) -> int:
    """Run what is left, print the table and write it; return 1 where a cell failed."""
    agents = {task: _agent(config, task) for task in config.task}
    failed = []
    for task, agent in agents.items():
        for seed in config.seeds:
            try:
                _run(config, task, agent, seed)
            except (RequestError, RunFault) as error:
                print(one_line(f"{task} seed {seed} failed: {error}"), file=sys.stderr)
                failed.append((f"{task} seed {seed}", "failed"))
    cells = read_cells(config.out)
    if not cells:
        raise RequestError(f"no compression came to an end in {config.out}")
    print(f"\n{table(*rows_of(cells))}")
    before = config.results.read_text() if config.results.exists() else ""
    write_atomically(config.results, with_section(before, SECTION, markdown(cells)).encode(errors="replace"))
    print(config.results)
    if failed:
        print(table(failed), file=sys.stderr)
    return 1 if failed else 0


def _agent(config: Config, task: str) -> Path:
    """Return where the teacher of a task lies."""
    if task not in TIMESTEPS:
        raise RequestError(f"expected --task among {', '.join(TIMESTEPS)}, found {task!r}")
    zoo = config.zoo or Path(os.environ.get("POLICY_DISTILL_ZOO", ""))
    agent = zoo / str(importlib.import_module(f"envs.{task}").ZOO)
    if not agent.is_dir():
        raise RequestError(f"expected the RL Zoo's agents in --zoo, found no {agent.name} in {zoo.resolve()}")
    return agent


def _run(config: Config, task: str, agent: Path, seed: int) -> None:
    """Compress once, and distil the winner's network once more alone, for what a single run costs."""
    env_id, folder = str(importlib.import_module(f"envs.{task}").ENV_ID), config.out / task / f"seed-{seed}"
    cell = Cell(task, seed, folder)
    if cell.done:
        print(f"{folder} is done", flush=True)
        return
    settings = DistillConfig(timesteps=config.timesteps or TIMESTEPS[task], seed=seed)
    settings = replace(settings, eval_episodes=EPISODES.get(task, settings.eval_episodes))
    teacher = load_teacher(agent, env=env_id)
    if not cell.compressed:
        resume, overwrite = _goes_on(folder)
        compress(
            teacher,
            env_id,
            RETENTION,
            config=settings,
            track=config.track,
            out=folder,
            say=lambda line: print(f"{task} seed {seed}: {line}", flush=True),
            resume=resume,
            overwrite=overwrite,
        )
    _one(teacher, env_id, cell, settings)


def _one(teacher: Teacher, env_id: str, cell: Cell, settings: DistillConfig) -> None:
    network, (resume, overwrite) = str(cell.record().winner), _goes_on(cell.one)
    distill(teacher, env_id, network, config=settings, out=cell.one, resume=resume, overwrite=overwrite)


def _goes_on(folder: Path) -> tuple[bool, bool]:
    """Return whether a run goes on from a checkpoint in its folder, or else replaces what is there."""
    begun = bool(newest_first(folder / "checkpoint"))
    return begun, not begun


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
