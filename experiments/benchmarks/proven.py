"""Seconds from an agent's zip to a proven student, beside a bare run of as many environment steps.

python -m experiments.benchmarks.proven --zoo $POLICY_DISTILL_ZOO

Each is a process of its own, imports included, and they run in turn. The one is `policy-distill distill` with default
settings, its report and offline W&B; the other steps one environment with random actions and does nothing else. How
many steps it takes was counted in a run before: those of collecting, judging and proving, of all policies.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import Value
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import numpy as np
import tyro

from experiments.benchmarks.agents import ENVS
from policy_distill import DistillConfig, distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.errors import RequestError

BARE = """
import sys
import gymnasium
env = gymnasium.make(sys.argv[1])
env.reset(seed=0)
for _ in range(int(sys.argv[2])):
    *_, terminated, truncated, _ = env.step(env.action_space.sample())
    if terminated or truncated:
        env.reset()
"""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path
    """Folder of the RL Zoo's pre-trained agents."""
    agents: Annotated[tuple[str, ...], tyro.conf.arg(name="agent")] = (
        "ars-CartPole-v1",
        "ppo-LunarLander-v2",
        "ppo-HalfCheetah-v3",
    )
    """Folders of the agents."""
    runs: int = 3
    """Times that each is measured, in turn; medians and ranges are given."""
    timesteps: int = DistillConfig().timesteps
    """The most that a run may collect."""
    out: Path = Path("runs/benchmarks")
    """Folder for the runs and proven.json."""


def main(config: Config) -> None:
    """Measure each agent, and print."""
    unknown = [agent for agent in config.agents if agent not in ENVS or not (config.zoo / agent).exists()]
    if unknown or config.runs < 1:
        raise RequestError(
            f"expected agents among {', '.join(ENVS)} in --zoo, and --runs of at least 1; found "
            f"{', '.join(unknown) or config.runs}"
        )
    config.out.mkdir(parents=True, exist_ok=True)
    records = {agent: measure(agent, config) for agent in config.agents}
    (config.out / "proven.json").write_text(json.dumps(records, indent=2) + "\n")
    columns = ("agent", "environment steps", "to a proven student, s", "the steps alone, s", "ratio", "verdict")
    print(table([row(agent, record) for agent, record in records.items()], columns))
    print(config.out / "proven.json")


def measure(agent: str, config: Config) -> dict[str, Any]:
    """Return the seconds of both, run by run, and how many steps either takes."""
    n_steps = count_steps(config.zoo / agent, ENVS[agent], config.timesteps, config.out / "counted")
    out = config.out / f"proven-{agent}"
    ours = ("-m", "policy_distill", "distill", "--teacher", str(config.zoo / agent), "--env", ENVS[agent])
    jobs = {
        "ours": (*ours, "--out", str(out), "--overwrite", "--timesteps", str(config.timesteps)),
        "bare": ("-c", BARE, ENVS[agent], str(n_steps)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(config.runs):
        for name, words in jobs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    verdict = json.loads((out / "evaluation.json").read_text())["retention"]["verdict"]["outcome"]
    return {"env_id": ENVS[agent], "env_steps": n_steps, "seconds": seconds, "verdict": verdict}


class Counted(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Counts the steps of all such environments, in whichever process."""

    n_steps = Value("q", 0)

    def step(self, action: Any) -> Any:
        """Step, and count."""
        with self.n_steps.get_lock():
            self.n_steps.value += 1
        return self.env.step(action)


def count_steps(agent: Path, env_id: str, timesteps: int, out: Path) -> int:
    """Return how many environment steps a run takes from an agent to a proven student."""
    Counted.n_steps.value = 0
    teacher = load_teacher(agent, env=env_id)
    config = DistillConfig(timesteps=timesteps)
    distill(teacher, lambda: Counted(gymnasium.make(env_id)), out=out, overwrite=True, config=config)
    return int(Counted.n_steps.value)


def row(agent: str, record: dict[str, Any]) -> tuple[str, ...]:
    """Return medians and ranges."""
    ours, bare = (np.array(record["seconds"][name]) for name in ("ours", "bare"))
    cells = [f"{np.median(x):.2f} [{x.min():.2f}, {x.max():.2f}]" for x in (ours, bare, ours / bare)]
    return agent, f"{record['env_steps']:,}", *cells, record["verdict"]


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
