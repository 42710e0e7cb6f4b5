"""Agents of a collection with one and the same settings: what students keep, after how many steps, in how many seconds.

python -m experiments.benchmarks.agents --zoo $POLICY_DISTILL_ZOO

A row for each agent and training seed is printed as it is done, and appended to agents.jsonl; a run that is there
already is not made again.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill import DistillConfig, distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.errors import RequestError
from policy_distill.system.blame import others_blamed
from policy_distill.tracking.base import BaseTracker

ENVS = {
    "a2c-Acrobot-v1": "Acrobot-v1",
    "ars-CartPole-v1": "CartPole-v1",
    "dqn-MountainCar-v0": "MountainCar-v0",
    "ppo-BipedalWalker-v3": "BipedalWalker-v3",
    "ppo-HalfCheetah-v3": "HalfCheetah-v5",
    "ppo-LunarLander-v2": "LunarLander-v3",
    "qrdqn-CartPole-v1": "CartPole-v1",
    "sac-Pendulum-v1": "Pendulum-v1",
    "tqc-HalfCheetah-v3": "HalfCheetah-v5",
    "tqc-Walker2d-v3": "Walker2d-v5",
    "trpo-Swimmer-v3": "Swimmer-v5",
}
"""The RL Zoo's agents, by their folders, and where they act today."""
FORMS = {
    **{"retention": ".3f", "low": ".3f", "env_steps": ",", "judged_steps": ",", "effort": ".2f", "seconds": ".0f"},
    "processor_seconds": ".0f",
}
"""Columns of numbers, and how they are printed."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path
    """Folder of the RL Zoo's pre-trained agents."""
    agents: Annotated[tuple[str, ...], tyro.conf.arg(name="agent")] = tuple(ENVS)
    """Folders of the agents."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    student: str = "mlp:64,64"
    """The student's network."""
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(default_factory=DistillConfig)
    out: Path = Path("runs/benchmarks/agents.jsonl")
    """Where rows go."""


def main(settings: Config) -> None:
    """Measure and print."""
    if unknown := [name for name in settings.agents if name not in ENVS]:
        raise RequestError(f"expected agents among {', '.join(ENVS)}, found {', '.join(unknown)}")
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in settings.out.read_text().splitlines()] if settings.out.exists() else []
    for row in rows(settings, {(one["agent"], one["seed"]): one for one in known}):
        print(line_of(row), flush=True)
        if row not in known:
            with settings.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


def rows(settings: Config, known: dict[tuple[str, int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each agent and seed."""
    for name in settings.agents:
        for seed in settings.seeds:
            yield known.get((name, seed)) or measure(name, settings, seed)


def measure(name: str, settings: Config, seed: int) -> dict[str, Any]:
    """Make and prove one student."""
    noted = Noted()
    began, used = time.perf_counter(), processor_seconds()
    with others_blamed(f"{name} cannot be loaded", "name a folder of the collection with --zoo", RequestError):
        teacher = load_teacher(settings.zoo / name)
    config = replace(settings.config, seed=seed)
    result = distill(teacher, ENVS[name], settings.student, config=config, tracker=noted)
    record = result.evaluation
    kept, falls, stop = record["retention"], record["falls"], record.get("stop") or {}
    return {
        "agent": name,
        "seed": seed,
        "retention": kept["mean"],
        "low": kept["mean_low"],
        "verdict": kept["verdict"]["outcome"],
        "falls": f"{falls['student']['n']} (teacher {falls['teacher']['n']}) of {kept['n_episodes']}",
        "env_steps": record["env_steps"],
        "judged_steps": stop.get("judged_steps"),
        "reason": stop.get("reason"),
        "effort": noted.effort,
        "seconds": time.perf_counter() - began,
        "processor_seconds": processor_seconds() - used,
        **{f"seconds_{stage}": seconds for stage, seconds in result.seconds.items()},
    }


def processor_seconds() -> float:
    """Return the processor time of this process so far, and of those that it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class Noted(BaseTracker):
    """A tracker that keeps the mean effort of a run."""

    def __init__(self) -> None:
        self._made: list[float] = []

    @property
    def effort(self) -> float | None:
        """Gradient steps, as a multiple of those that n_epochs names, in the mean over the rollouts."""
        return sum(self._made) / len(self._made) if self._made else None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Note the effort of a rollout."""
        if "train/effort" in metrics:
            self._made.append(metrics["train/effort"])


def line_of(row: dict[str, Any]) -> str:
    """Return a row in words."""
    numbers = {name: format(row[name], form) for name, form in FORMS.items() if row.get(name) is not None}
    words = {name: str(row[name]) for name in ("verdict", "falls", "reason") if row.get(name) is not None}
    said = ", ".join(f"{name} {value}" for name, value in {**numbers, **words}.items())
    return f"{row['agent']} seed {row['seed']}: {said}"


if __name__ == "__main__":
    found = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(found)))
