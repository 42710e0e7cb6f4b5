"""Which objective brings a bottlenecked student of a noisy teacher furthest: 25% of what the teacher says is random.

    python -m experiments.objectives --zoo $POLICY_DISTILL_ZOO --results RESULTS.md

A student too small for all that its teacher does has to choose where to match it, and a noisy teacher is no optimum:
this is where objectives can differ. LunarLander has the Zoo's PPO agent, Pendulum one that is trained here with the
Zoo's settings, since values are needed. The same steps, seeds and episodes for all; students are judged by their mode.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from scipy.special import stdtrit

from experiments.compression_table import with_section
from experiments.noisy_teacher import NoisyTeacher
from policy_distill import distill, evaluate, load_teacher, train_teacher
from policy_distill.cli import guarded
from policy_distill.collection.actors import RandomPolicy
from policy_distill.commands.showing.output import table
from policy_distill.evaluation.statistics import iqm
from policy_distill.seeds import PROOF

SECTION = "## Objectives"
TASKS = {"lunar_lander": (("linear", "mlp:1"), 40_960), "pendulum": (("mlp:4", "mlp:8"), 40_960)}
"""The students and the environment steps of each. Chosen by kl alone, on one seed: an mlp:2 is no bottleneck on
LunarLander, whose agent it keeps whole, nor an mlp:32 on Pendulum; an mlp:2 there is as good as random."""
ARMS: dict[str, dict[str, Any]] = {
    "kl": {},
    "n_distill": {"objective": "n_distill"},
    "reverse_trajectory": {"objective": "reverse_trajectory"},
    "teacher_value": {"objective": "teacher_value"},
    "teacher_value, gate": {"objective": "teacher_value", "value_gate": True},
    "kl, reverse": {"loss": "reverse_kl"},
}
"""What is compared with `kl`; the last tells what reverse_trajectory owes to its divergence, and what to its score."""
HEADER = ("environment", "student", "objective", "retention, IQM", "95%", "less kl's", "95%", "each seed", "seconds")


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path
    """Folder of the RL Zoo's pre-trained agents."""
    tasks: tuple[str, ...] = tuple(TASKS)
    """Environments."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    noise: float = 0.25
    """Share of the teacher's actions that are random."""
    episodes: int = 100
    """Episodes that each student is judged on."""
    timesteps: int | None = None
    """Environment steps of each run; those of the task where None."""
    out: Path = Path("runs/objectives")
    """Folder for the teacher that is trained here and objectives.json; what that has is not run again."""
    results: Path | None = None
    """A page whose section on objectives is written anew."""


def main(config: Config) -> None:
    """Measure, print, and write `objectives.json`."""
    config.out.mkdir(parents=True, exist_ok=True)
    kept = config.out / "objectives.json"
    records: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    done = {(one["task"], one["student"], one["arm"], one["seed"]) for one in records}
    # A student at a time, so that what is there can be told early: all of them take an hour.
    for place, task in product(range(max(len(TASKS[task][0]) for task in config.tasks)), config.tasks):
        teacher, env_id = _teacher(config, task)
        scale = None
        for student, seed, arm in product(TASKS[task][0][place : place + 1], config.seeds, ARMS):
            if (task, student, arm, seed) not in done:
                scale = scale or _scale(config, teacher, env_id)
                found = _measured(config, teacher, env_id, student, arm, seed, TASKS[task][1])
                records.append({"task": task, **found, **scale})
                kept.write_text(json.dumps(records, indent=1) + "\n")
    rows = rows_of(records, config)
    print(table(rows, HEADER))
    if config.results is not None:
        page = config.results.read_text() if config.results.exists() else "# Results\n"
        config.results.write_text(with_section(page, SECTION, section(rows, records, config)))


def _teacher(config: Config, task: str) -> tuple[Any, str]:
    """Return a teacher with values, and its environment."""
    env: Any = importlib.import_module(f"envs.{task}")
    if env.ZOO.startswith("ppo"):
        return load_teacher(config.zoo / env.ZOO, env=env.ENV_ID), env.ENV_ID
    path, recipe = config.out / f"{task}.zip", env.TEACHER
    if not path.exists():
        options = {"hyperparameters": recipe.hyperparameters, "n_envs": recipe.n_envs, "stop_at": env.SOLVED}
        train_teacher(env.ENV_ID, recipe.algo, recipe.timesteps, recipe.net_arch, out=path, **options)
    return load_teacher(path, env=env.ENV_ID), env.ENV_ID


def _scale(config: Config, teacher: Any, env_id: str) -> dict[str, float]:
    """Return the mean returns of the teacher without noise, with it, and of random actions."""
    noisy, random = NoisyTeacher(teacher, config.noise, 0), RandomPolicy(teacher.action_space, 16, 0)
    played = {"teacher": teacher, "noisy": noisy, "random": random}
    return {name: evaluate(one, env_id, config.episodes, seed=PROOF).mean for name, one in played.items()}


def _measured(
    config: Config, teacher: Any, env_id: str, student: str, arm: str, seed: int, timesteps: int
) -> dict[str, Any]:
    noisy, began = NoisyTeacher(teacher, config.noise, seed), time.perf_counter()
    # The last student, unchosen: a choice by episodes would hide what the objective did.
    settings: dict[str, Any] = {
        "timesteps": config.timesteps or timesteps,
        "seed": seed,
        "eval_episodes": 0,
        **ARMS[arm],
    }
    found = distill(noisy, env_id, student, **settings).student
    seconds = time.perf_counter() - began
    returns = evaluate(found, env_id, config.episodes, seed=PROOF).returns
    print(
        f"{env_id}, {student}, {arm}, seed {seed}: {returns.mean():.1f} in {seconds:.0f} s", file=sys.stderr, flush=True
    )
    record = {"env_id": env_id, "student": student, "arm": arm, "seed": seed, "seconds": seconds}
    return {**record, "timesteps": settings["timesteps"], "noise": config.noise, "returns": returns.tolist()}


def kept_of(one: dict[str, Any]) -> float:
    """Return the interquartile mean of a student's returns, on the scale from random to the teacher without noise."""
    gained = float(iqm(np.array(one["returns"]))) - one["random"]
    return gained / (one["teacher"] - one["random"])


def rows_of(records: list[dict[str, Any]], config: Config) -> list[tuple[Any, ...]]:
    """Return a row for each environment and objective: over seeds, and beside `kl` of the same seeds."""
    rows = []
    for task, student, arm in ((t, s, a) for t in config.tasks for s in TASKS[t][0] for a in ARMS):
        of = {name: _by_seed(records, (task, student, name), config.seeds) for name in (arm, "kl")}
        own = _of(records, (task, student, arm))
        if min(len(of[arm]), len(of["kl"])) < len(config.seeds):
            continue
        mean, low, high = mean_and_interval(of[arm])
        less = mean_and_interval(of[arm] - of["kl"])
        beside = ("", "") if arm == "kl" else (f"{less[0]:+.3f}", f"{less[1]:+.3f} to {less[2]:+.3f}")
        each = ", ".join(f"{one:.2f}" for one in of[arm])
        seconds = float(np.mean([one["seconds"] for one in own]))
        interval = f"{low:.3f} to {high:.3f}"
        rows.append((own[0]["env_id"], student, arm, f"{mean:.3f}", interval, *beside, each, f"{seconds:.0f}"))
    return rows


def mean_and_interval(x: np.ndarray) -> tuple[float, float, float]:
    """Return the mean over training seeds `[n]`, and its 95% interval by Student's t: too few for a bootstrap."""
    half = float(stdtrit(len(x) - 1, 0.975)) * float(x.std(ddof=1)) / np.sqrt(len(x)) if len(x) > 1 else np.inf
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def _by_seed(records: list[dict[str, Any]], cell: tuple[str, str, str], seeds: tuple[int, ...]) -> np.ndarray:
    own = {one["seed"]: kept_of(one) for one in _of(records, cell)}
    return np.array([own[seed] for seed in seeds if seed in own])


def _of(records: list[dict[str, Any]], cell: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Return the records of a task, a student and an objective."""
    return [one for one in records if (one["task"], one["student"], one["arm"]) == cell]


def section(rows: list[tuple[Any, ...]], records: list[dict[str, Any]], config: Config) -> str:
    """Return the section of the page."""
    lines = [
        f"{SECTION}\n",
        "Made by `python -m experiments.objectives --zoo $POLICY_DISTILL_ZOO --results RESULTS.md`; no figure is",
        f"written by hand. {config.noise:.0%} of what the teacher says is random, and students are too small for it:",
        f"{len(config.seeds)} training seeds, {config.episodes} episodes each, the last student of each run. Retention",
        "is of the teacher without noise; intervals are Student's t over training seeds, differences paired by seed.",
        "Each interval is for itself: of twenty differences that are none, one lies beside zero by chance.\n",
        *(f"| {' | '.join(map(str, row))} |" for row in (HEADER, ["---"] * len(HEADER), *rows)),
        "",
    ]
    for task in dict.fromkeys(one["task"] for one in records):
        one = next(one for one in records if one["task"] == task)
        steps, means = one["timesteps"], [f"{name} {one[name]:.1f}" for name in ("teacher", "noisy", "random")]
        lines.append(f"{one['env_id']}, {steps:,} steps: mean returns {', '.join(means)}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
