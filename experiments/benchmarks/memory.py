"""The peak of memory of one distillation, in a process of its own.

python -m experiments.benchmarks.memory --task cartpole
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.benchmarks.tasks import TASKS, make_teacher, prepare
from policy_distill import distill
from policy_distill.cli import guarded
from policy_distill.environments.open import open_environments


@dataclass(frozen=True)
class Config:
    """What to measure."""

    task: str
    """A key of `TASKS`."""
    zoo: Path | None = None
    """Folder of the RL Zoo's pre-trained agents."""
    timesteps: int | None = None
    """Environment steps."""
    out: Path = Path("runs/benchmarks")
    """Folder for teachers made here."""


def main(config: Config) -> None:
    """Print the megabytes before the run, with everything imported and the teacher loaded, and at its peak."""
    prepare([config.task], config.zoo, config.out, timesteps=config.timesteps)
    task, teacher = TASKS[config.task], make_teacher(config.task, config.zoo, config.out)
    # What the environment's package loads when it is first used is an import too.
    open_environments(task.env_id, 1, teacher.env_wrappers).close()
    before = megabytes("VmRSS")
    timesteps = config.timesteps or task.timesteps
    distill(teacher, task.env_id, task.student, timesteps=timesteps, eval_episodes=0)
    peak = megabytes("VmHWM")
    print(json.dumps({"before": before, "peak": peak, "beyond": peak - before}))


def megabytes(field: str) -> float:
    """Return what the kernel says of this process: VmRSS for what it holds now, VmHWM for the most that it held."""
    # The kernel's own record: `getrusage` would count what the parent of this process held.
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kilobytes) / 1024


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
