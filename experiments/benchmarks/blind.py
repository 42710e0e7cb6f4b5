"""A blind cheetah: HalfCheetah without velocities, distilled here and as robots' students are elsewhere.

python -m experiments.benchmarks.blind --zoo $POLICY_DISTILL_ZOO

The teacher sees all 17 numbers, the student the 8 positions. Both ways get the same environment steps, network and
seeds, and are judged on the same episodes beside the same teacher; nothing of either is tuned to this task.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.benchmarks.windows_of_means import distill_in_windows
from policy_distill import distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.seeds import PROOF

OURS, WINDOWS = "policy-distill", "means, windows of 15"


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path
    """Folder of the RL Zoo's pre-trained agents."""
    agent: str = "ppo-HalfCheetah-v3"
    """The teacher's folder in it."""
    env: str = "HalfCheetah-v4"
    """The environment."""
    observe: str = "0-7"
    """What students see: the positions."""
    students: tuple[str, ...] = ("mlp:64,64",)
    """Networks."""
    timesteps: int = 200_000
    """Environment steps of each run."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    episodes: int = 100
    """Episodes that each student is judged on."""
    out: Path = Path("runs/blind")
    """Folder for the runs and blind.json."""


def main(config: Config) -> None:
    """Measure, print, and write `blind.json`."""
    teacher = load_teacher(config.zoo / config.agent, env=config.env)
    config.out.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    for spec, seed, method in product(config.students, config.seeds, (OURS, WINDOWS)):
        records.append(measured(teacher, config, spec, method, seed))
        # After each: all of them take an hour.
        (config.out / "blind.json").write_text(json.dumps(records, indent=2) + "\n")
    print(table(rows_of(records), ("student", "method", "retention, mean", "each seed", "return", "seconds")))


def measured(teacher: Any, config: Config, spec: str, method: str, seed: int) -> dict[str, Any]:
    """Distil once and judge on paired episodes."""
    began = time.perf_counter()
    quick: dict[str, Any] = {"eval_episodes": 0, "track": "disabled", "seed": seed, "timesteps": config.timesteps}
    if method == OURS:
        folder = config.out / f"{spec.replace(':', '-')}-{seed}"
        student: Any = distill(teacher, config.env, spec, observe=config.observe, out=folder, overwrite=True, **quick)
        student = student.student
    else:
        first, _, last = config.observe.partition("-")
        columns = list(range(int(first), int(last) + 1))
        student = distill_in_windows(teacher, config.env, columns, spec, config.timesteps, seed)
    seconds = time.perf_counter() - began
    found = compare_policies(teacher, student, config.env, ProofPlan(config.episodes, PROOF))
    kept = found.retention
    record = {"student": spec, "method": method, "seed": seed, "seconds": seconds, "retention": kept.mean}
    return {**record, "low": kept.mean_low, "teacher": found.teacher.mean, "return": found.student.mean}


def rows_of(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return a row for each network and method, with the mean over its seeds."""
    rows = []
    for spec, method in dict.fromkeys((one["student"], one["method"]) for one in records):
        own = [one for one in records if (one["student"], one["method"]) == (spec, method)]
        means = {name: float(np.mean([one[name] for one in own])) for name in ("retention", "return", "seconds")}
        each = ", ".join(f"{one['retention']:.3f}" for one in own)
        rows.append((spec, method, means["retention"], each, means["return"], means["seconds"]))
    return rows


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
