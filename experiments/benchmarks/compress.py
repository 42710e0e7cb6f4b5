"""What a race of many students costs beside one run and beside a run of each, in turn in one process.

python -m experiments.benchmarks.compress --zoo $POLICY_DISTILL_ZOO

All sides collect, label and learn from as many steps, with nothing judged and nothing proven. Nobody is dropped, so it
is the most that a race can cost. A population has one start of each candidate, a race all the starts that it tries.

On two cores of a virtual machine that other processes used too; medians and ranges of three rounds, one run being 1.

20,480 steps                         LunarLander-v3        HalfCheetah-v5        CartPole-v1
16 runs                              14.4 [14.0, 15.9]     16.3 [15.0, 16.5]     15.0 [13.4, 15.1]
population of 16 students            1.89 [1.60, 2.01]     1.62 [1.50, 1.64]     2.64 [2.62, 2.76]
race of 4 candidates, 23 students    1.49 [1.23, 1.51]     1.25 [1.13, 1.37]     1.88 [1.82, 1.89]
race of 16 candidates, 113 students  2.88 [2.70, 3.89]     3.04 [2.69, 3.18]     5.51 [4.78, 6.27]
race of 64 candidates, 311 students  11.1 [10.5, 11.1]     11.1 [10.2, 12.7]     22.0 [19.1, 23.7]

102,400 steps (CartPole while more else ran)
population of 16 students            1.98 [1.88, 2.06]     2.14 [2.00, 2.14]     3.06 [2.71, 3.20]

Peaks of memory beyond what is imported, at 20,480 steps: one run 16 to 32 MB; 4 candidates 19 to 37, 16 candidates 28
to 74, 64 candidates 49 to 131.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.benchmarks.memory import megabytes
from experiments.benchmarks.tasks import TASKS, make_teacher, prepare
from policy_distill import DistillConfig, distill
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.compression.judge import Judge
from policy_distill.compression.kinds import Kinds
from policy_distill.compression.limits import Limits
from policy_distill.compression.members import ACTIVATIONS, Member, members_for
from policy_distill.compression.race import Race
from policy_distill.environments.open import open_environments
from policy_distill.interfaces.policies import Teacher
from policy_distill.losses.kl import forward_kl
from policy_distill.run.stream import Stream
from policy_distill.system.threads import threads_for

ONE = "mlp:32,32"
"""The network of the one run."""
FOUR = ("linear", "mlp:2", "mlp:8", "mlp:32")
SIXTEEN = (
    "linear",
    *(f"mlp:{n}" for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)),
    "mlp:4,4",
    "mlp:8,8",
    "mlp:16,16",
    ONE,
)
SIXTY_FOUR = ("linear", *(f"mlp:{n}" for n in range(1, 48)), *(f"mlp:{n},{n}" for n in range(1, 17)))
RACES = {4: FOUR, 16: SIXTEEN, 64: SIXTY_FOUR}
"""Candidates, by their number."""
BAR = 0.95
RUN, RUNS, POPULATION = "one run", "16 runs", "population of 16 students"


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """Folder of the RL Zoo's pre-trained agents; lunar_lander, half_cheetah and acrobot need it."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(name="task")] = ("lunar_lander", "half_cheetah", "cartpole")
    """Teachers and environments."""
    timesteps: int = 20_480
    """Environment steps of each side."""
    runs: int = 3
    """Times that each is measured, in turn; medians and ranges are given."""
    out: Path = Path("runs/benchmarks")
    """Folder for teachers made here, and for compress.json."""
    memory: int | None = None
    """Print what the race of so many candidates takes at its peak, or one run (1), and nothing else: for processes that
    this one starts."""


def main(config: Config) -> None:
    """Measure each task and print."""
    prepare(config.tasks, config.zoo, config.out, timesteps=config.timesteps, runs=config.runs)
    if config.memory is not None:
        print(json.dumps(peak(config, config.memory)))
        return
    records = {name: measure(name, config) for name in config.tasks}
    (config.out / "compress.json").write_text(json.dumps(records, indent=2) + "\n")
    print(config.out / "compress.json")


def measure(name: str, config: Config) -> dict[str, Any]:
    """Time all sides in turn, find their peaks of memory, print the table of a task and return its figures."""
    task, teacher = TASKS[name], make_teacher(name, config.zoo, config.out)
    seconds: dict[str, list[float]] = {}
    for seed in range(config.runs):
        plan = DistillConfig(config.timesteps, eval_episodes=0, checkpoint_every=0, seed=seed)
        sides: dict[str, Callable[[], None]] = {
            RUN: partial(alone, teacher, task.env_id, (ONE,), plan),
            RUNS: partial(alone, teacher, task.env_id, SIXTEEN, plan),
            POPULATION: partial(race, teacher, task.env_id, SIXTEEN, plan, Singles),
            **{_title(n): partial(race, teacher, task.env_id, networks, plan) for n, networks in RACES.items()},
        }
        for side, call in sides.items():
            began = time.perf_counter()
            call()
            seconds.setdefault(side, []).append(time.perf_counter() - began)
    memory = {RUN: _peak_apart(name, config, 1), **{_title(n): _peak_apart(name, config, n) for n in RACES}}
    record = {"env_id": task.env_id, "timesteps": config.timesteps, "seconds": seconds, "memory_mb": memory}
    report(record)
    return record


def alone(teacher: Teacher, env_id: str, networks: tuple[str, ...], plan: DistillConfig) -> None:
    """Distil each network in a run of its own."""
    for network in networks:
        distill(teacher, env_id, network, config=plan)


class Singles(Race):
    """A race of one start of each candidate."""

    def starts(self) -> list[Member]:
        """Return the first start with tanh of each."""
        return [Member(candidate.spec, ACTIVATIONS[0], 0) for candidate in self.candidates]


def race(
    teacher: Teacher, env_id: str, networks: tuple[str, ...], plan: DistillConfig, kind: type[Race] = Race
) -> None:
    """Let all networks learn from one stream."""
    with ExitStack() as scope:
        envs = scope.enter_context(closing(open_environments(env_id, plan.n_envs, teacher.env_wrappers)))
        stream = Stream(teacher, envs, plan, networks[0])
        kinds = Kinds(stream, forward_kl, Limits(BAR))
        found = kind(stream, kinds, networks, Judge(stream, env_id, scope, BAR), BAR)
        scope.enter_context(threads_for(teacher, n_params=max(one.n_params for one in found.candidates)))
        while not stream.done:
            rollout = found.collect()
            found.learn(rollout, stream.label(rollout))


def peak(config: Config, n: int) -> float:
    """Return the megabytes that a race of `n` candidates, or one run, takes at its peak beyond what is imported."""
    (name,) = config.tasks
    task, teacher = TASKS[name], make_teacher(name, config.zoo, config.out)
    open_environments(task.env_id, 1, teacher.env_wrappers).close()
    plan = DistillConfig(config.timesteps, eval_episodes=0, checkpoint_every=0)
    before = megabytes("VmRSS")
    if n == 1:
        alone(teacher, task.env_id, (ONE,), plan)
    else:
        race(teacher, task.env_id, RACES[n], plan)
    return megabytes("VmHWM") - before


def report(record: dict[str, Any]) -> None:
    """Print medians, ratios to one run and to a run of each candidate, round by round, and memory."""
    seconds = {side: np.array(values) for side, values in record["seconds"].items()}
    rows = []
    for side, values in seconds.items():
        memory = record["memory_mb"].get(side)
        rows.append(
            (
                side,
                f"{np.median(values):.2f}",
                _ratio(values / seconds[RUN]),
                _ratio(values / seconds[RUNS]),
                "" if memory is None else f"{memory:.0f}",
            )
        )
    title = f"{record['env_id']}, {record['timesteps']:,} steps"
    print("\n" + table(rows, (title, "seconds", f"x {RUN}", f"x {RUNS}", "peak MB beyond imports")) + "\n", flush=True)


def _ratio(values: np.ndarray) -> str:
    return f"{np.median(values):.2f} [{values.min():.2f}, {values.max():.2f}]"


def _title(n: int) -> str:
    return f"race of {n} candidates, {len(members_for(RACES[n]))} students"


def _peak_apart(name: str, config: Config, n: int) -> float:
    """Return the peak of a process of its own."""
    command = [sys.executable, "-m", "experiments.benchmarks.compress", "--task", name, "--memory", str(n)]
    command += ["--timesteps", str(config.timesteps), "--out", str(config.out)]
    command += ["--zoo", str(config.zoo)] if config.zoo else []
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
