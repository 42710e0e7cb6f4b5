"""One student of several tasks, beside students of one task each: the section Several tasks of RESULTS.md.

python -m experiments.many_tasks --zoo ~/rl-trained-agents --part classic control --seeds 0 1 2

In: agents of the RL Zoo. Out: for each part and training seed one student of all tasks, and a student of each task
alone from as many steps; what each keeps of its teacher's gain on the proof's episodes; and the section of RESULTS.md.
It goes on where it was stopped. `classic` is of CartPole, Acrobot and MountainCar, with single students as small as
RESULTS.md has them; `padded` is the same with one first layer for all, over inputs with zeros behind them; `mixed` has
Pendulum in place of MountainCar; `control` is of four MuJoCo and Box2D tasks, with single students of a quarter of its
parameters each.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from experiments.compression_table import with_section
from experiments.many_tasks_table import SECTION, Row, markdown, row_of
from policy_distill import distill, distill_many, load_teacher
from policy_distill.cli import guarded
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.student.file import write_atomically


@dataclass(frozen=True)
class Part:
    """Tasks that one student is to have."""

    student: str
    timesteps: int
    """Environment steps of each task."""
    singles: Mapping[str, str]
    """The network of a student of each task alone, by the experiments' names; `quarter` is one of two equal layers with
    at most the whole student's parameters divided by the number of tasks."""
    episodes: int = 300
    """Episodes of each proof, at most."""
    inputs: str = "own"
    """How tasks share the first layer."""
    alone: str | None = None
    """The part whose single students it is set beside, where these are not its own."""


CLASSIC = {"cartpole": "mlp:8", "acrobot": "mlp:8", "mountain_car": "mlp:16,16"}
PARTS = {
    "classic": Part("mlp:14,14", 30_000, CLASSIC),
    "padded": Part("mlp:14,14", 30_000, CLASSIC, inputs="padded", alone="classic"),
    "mixed": Part("mlp:14,14", 20_000, {"cartpole": "mlp:8", "acrobot": "mlp:8", "pendulum": "mlp:16"}),
    "control": Part(
        "mlp:64,64", 100_000, dict.fromkeys(("bipedal_walker", "half_cheetah", "swimmer", "walker2d"), "quarter"), 32
    ),
}


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; by itself what POLICY_DISTILL_ZOO says."""
    part: tuple[str, ...] = ("classic", "control")
    """Which tasks: classic, padded (the same with one first layer for all), mixed (discrete and continuous actions
    together), control."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    timesteps: int | None = None
    """Environment steps of each task; by itself those of the part."""
    episodes: int | None = None
    """Episodes of each proof, at most; by itself those of the part."""
    balance: Literal["divergence", "entropy", "none"] = "divergence"
    """What the loss of a task is divided by."""
    out: Path = Path("runs/many_tasks")
    """Folder of all runs; what is done in it is left alone."""
    track: Literal["offline", "online", "trackio", "disabled"] = "offline"
    """Weights & Biases, in one group for each part."""
    results: Path = Path("RESULTS.md")
    """The file whose section is written."""


def main(config: Config) -> None:
    """Run what is left, and write the section anew after each student of several tasks."""
    rows: list[Row] = []
    for name in config.part:
        if name not in PARTS:
            raise RequestError(f"expected --part among {', '.join(PARTS)}, found {name!r}")
        part = PARTS[name]
        pairs = {task: _pair(config, task) for task in part.singles}
        for seed in config.seeds:
            whole = _many(config, name, part, pairs, seed)
            singles = {task: _single(config, name, part, task, pairs[task], seed, whole) for task in pairs}
            rows.append(row_of(name, seed, whole, singles))
            before = config.results.read_text() if config.results.exists() else ""
            text = markdown(rows, " ".join(config.part))
            write_atomically(config.results, with_section(before, SECTION, text).encode())
            print(rows[-1].line(), flush=True)


def _pair(config: Config, task: str) -> tuple[Teacher, str]:
    """Return a task's teacher and its environment."""
    module: Any = importlib.import_module(f"envs.{task}")
    zoo = config.zoo or Path(os.environ.get("POLICY_DISTILL_ZOO", ""))
    return load_teacher(zoo / module.ZOO, env=module.ENV_ID), module.ENV_ID


def _settings(config: Config, name: str, part: Part, seed: int, folder: Path) -> dict[str, Any]:
    track: Any = config.track if config.track == "disabled" else {"mode": config.track, "group": f"many-tasks-{name}"}
    return {
        "timesteps": config.timesteps or part.timesteps,
        "seed": seed,
        "eval_episodes": config.episodes or part.episodes,
        "sampled_teacher": False,
        "out": folder,
        "track": track,
        # A run that was stopped goes on; one that left nothing to go on from begins anew.
        **({"resume": True} if newest_first(folder / "checkpoint") else {"overwrite": True}),
    }


def _many(config: Config, name: str, part: Part, pairs: Mapping[str, tuple[Teacher, str]], seed: int) -> Path:
    """Return the run folder of the student of all tasks."""
    folder = config.out / name / f"together-{seed}"
    if not (folder / "evaluation.json").exists():
        settings = _settings(config, name, part, seed, folder)
        distill_many(pairs, part.student, balance=config.balance, inputs=part.inputs, **settings)
    return folder


def _single(
    config: Config, name: str, part: Part, task: str, pair: tuple[Teacher, str], seed: int, whole: Path
) -> Path:
    """Return the run folder of a student of one task, from as many of its steps."""
    folder = config.out / (part.alone or name) / f"{task}-{seed}"
    if not (folder / "evaluation.json").exists():
        network = part.singles[task]
        network = _quarter(whole, task, len(part.singles)) if network == "quarter" else network
        settings = {**_settings(config, name, part, seed, folder), "stop": "never", "passes": "fixed"}
        distill(*pair, network, **settings)
    return folder


def _quarter(whole: Path, task: str, n_tasks: int) -> str:
    """Return the widest network of two equal layers with its share of the parameters of a student of all tasks."""
    from policy_distill.networks.mlp import MLP
    from policy_distill.student.runtime import load_student

    student = load_student(whole / "student.safetensors")
    one = student.task(task)
    n_in = one.description.architecture.input_shape
    n_out = one.description.head.n_outputs
    spread = one.tensors["log_std"].size if "log_std" in one.tensors else 0
    most, width = student.n_params // n_tasks - spread, 1
    while MLP((width + 1, width + 1)).n_params(tuple(n_in), n_out) <= most:
        width += 1
    return f"mlp:{width},{width}"


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
