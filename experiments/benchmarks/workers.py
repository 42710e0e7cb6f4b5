"""What collecting on workers costs the process that learns, and how far that goes: measured here, then simulated.

python -m experiments.benchmarks.workers --zoo $POLICY_DISTILL_ZOO
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.benchmarks.tasks import TASKS, make_teacher, prepare
from policy_distill import DistillConfig, distill
from policy_distill.cli import guarded
from policy_distill.collection.collector import Collector
from policy_distill.collection.workers.service import Equipment
from policy_distill.collection.workers.sharded import Sharded
from policy_distill.collection.workers.unit import Labelling
from policy_distill.commands.showing.output import table
from policy_distill.environments.open import open_environments
from policy_distill.environments.wrappers import parse_wrapper
from policy_distill.system.threads import threads_for
from policy_distill.system.workers.local import LocalPool

FLEETS = (1, 2, 5, 10, 100, 1000)
"""Workers that are simulated."""
FEWER = DistillConfig().n_epochs
"""Gradient passes that there are by default, of which one is simulated too."""
N_ENVS, N_STEPS = 8, 128
"""Environments of a worker, and steps of each in a rollout."""
JITTER = 0.1
"""Spread of the time that workers take for a share, as a share of it; log-normal."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """Folder of the RL Zoo's pre-trained agents; all tasks but cartpole need it."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(name="task")] = ("cartpole", "lunar_lander", "half_cheetah")
    """Teachers and environments, as of speed.py."""
    rounds: int = 12
    """Rollouts of each; medians are given."""
    out: Path = Path("runs/benchmarks")
    """Folder for teachers made here, and workers.json."""


@dataclass(frozen=True)
class Costs:
    """What a task costs; times are of the processor, in microseconds."""

    state: float
    """Of the driver, for a state that comes: unpacked, joined, its features made and stored."""
    share: float
    """Of the driver, for a worker's share of a rollout, beside its states: asked for and taken up."""
    training: float
    """Of the driver, for a state: the gradient steps that follow it."""
    collecting: float
    """Of a worker, for a state: stepped, acted on and labelled."""
    bytes_in: float
    """That reach the driver for a state."""
    bytes_out: float
    """That a worker is sent for a rollout: who acts, and what is asked."""


class Counted:
    """A pipe that counts what goes through it."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self.n_in, self.n_out = pipe, 0, 0

    def __getattr__(self, name: str) -> Any:
        """Be the pipe in all else."""
        return getattr(self._pipe, name)

    def send_bytes(self, sent: bytes) -> None:
        """Send, and count."""
        self.n_out += len(sent)
        self._pipe.send_bytes(sent)

    def recv_bytes(self) -> bytes:
        """Receive, and count."""
        found: bytes = self._pipe.recv_bytes()
        self.n_in += len(found)
        return found


class CountingPool(LocalPool):
    """Processes whose pipes count."""

    def start(self, make: Any) -> Any:
        """Start one."""
        worker = super().start(make)
        worker.pipe = Counted(worker.pipe)
        return worker


def main(config: Config) -> None:
    """Measure each task, simulate, and print."""
    prepare(config.tasks, config.zoo, config.out)
    records = {}
    for name in config.tasks:
        costs, here = measure(name, config)
        relieved = replace(costs, training=costs.training / FEWER)
        rates = {n: (simulate(costs, n), simulate(relieved, n)) for n in FLEETS}
        records[name] = {"costs": asdict(costs), "measured": here, "states_a_second": rates}
        report(name, costs, here, rates)
    (config.out / "workers.json").write_text(json.dumps(records, indent=2) + "\n")
    print(config.out / "workers.json")


def measure(name: str, config: Config) -> tuple[Costs, dict[int, float]]:
    """Return what a task costs, and the states a second that one and two workers collect here.

    What two workers cost the driver beyond one is what a further one costs.
    """
    task, teacher = TASKS[name], make_teacher(name, config.zoo, config.out)
    plan = DistillConfig(timesteps=N_ENVS * N_STEPS * 8, eval_episodes=0, checkpoint_every=0, passes="fixed")
    with threads_for(teacher):
        began = time.process_time()
        made = distill(teacher, task.env_id, task.student, config=plan, workers=0)
        whole = (time.process_time() - began) / plan.timesteps
        one, two = (rollouts(teacher, task, made.student, n, config.rounds) for n in (1, 2))
    n_states = N_ENVS * N_STEPS
    per_share = max(two["driver"] - one["driver"], 0.0)
    known = sum(made.seconds[stage] for stage in ("collect", "label", "train", "evaluate"))
    costs = Costs(
        state=1e6 * (one["driver"] - per_share + one["store"]) / n_states,
        share=1e6 * per_share,
        training=1e6 * whole * made.seconds["train"] / known,
        collecting=1e6 * whole * (made.seconds["collect"] + made.seconds["label"]) / known,
        bytes_in=one["in"] / n_states,
        bytes_out=one["out"],
    )
    return costs, {1: n_states / one["wall"], 2: n_states / two["wall"]}


def rollouts(teacher: Any, task: Any, student: Any, n_workers: int, rounds: int) -> dict[str, float]:
    """Return medians over rollouts of the same size: seconds of this process's own, and bytes of one worker."""
    envs: Any = open_environments(task.env_id, N_ENVS, [parse_wrapper(text) for text in task.wrappers])
    collector = Collector(envs, 0)
    own: dict[str, Any] = {"n_envs": N_ENVS, "seed": 0, "seed_of": collector.seed_of, "env_timeout": 0.0}
    equipment = Equipment(make=envs.make, teacher=teacher, taught=_as_it_is, n_threads=1, **own)
    pool = CountingPool()
    sharded = Sharded(collector, equipment, pool, n_workers)
    found: dict[str, list[float]] = {"driver": [], "store": [], "in": [], "out": [], "wall": []}
    for _ in range(rounds + 1):
        before = [(one.pipe.n_in, one.pipe.n_out) for one in pool.workers] or [(0, 0)]
        began, wall = time.process_time(), time.perf_counter()
        sharded.labelling = Labelling(teacher, True, False, None)
        rollout = sharded.collect(student, N_STEPS, False, 0.0)
        found["driver"].append(time.process_time() - began)
        found["wall"].append(time.perf_counter() - wall)
        began = time.process_time()
        features = student.plan.featurizer(rollout.flat_obs)
        np.concatenate([features, rollout.labels.params.flatten(0, 1).numpy()], axis=1)  # type: ignore[union-attr]
        found["store"].append(time.process_time() - began)
        pipe: Any = pool.workers[0].pipe
        found["in"].append(pipe.n_in - before[0][0])
        found["out"].append(pipe.n_out - before[0][1])
    sharded.close()
    envs.close()
    # The first starts the workers.
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def _as_it_is(obs: Any) -> Any:
    return obs


def simulate(costs: Costs, n_workers: int, rounds: int = 200, seed: int = 0) -> float:
    """Return the states a second of so many workers, each with a core of its own, and a rollout of the same size each.

    A lag of one: all are asked for rollout k + 1, rollout k is learnt from, and then shares are taken up as they come.
    """
    rng, n_states, now = np.random.default_rng(seed), N_ENVS * N_STEPS, 0.0
    for _ in range(rounds):
        asked = now + costs.share / 2 * np.arange(1, n_workers + 1)
        takes = n_states * costs.collecting * rng.lognormal(0.0, JITTER, n_workers)
        now = asked[-1] + n_workers * n_states * costs.training
        for arrives in np.sort(asked + takes):
            now = max(now, arrives) + costs.share / 2 + n_states * costs.state
    return rounds * n_workers * n_states / now * 1e6


def report(name: str, costs: Costs, here: dict[int, float], rates: dict[int, tuple[float, float]]) -> None:
    """Print what a task costs, and what becomes of more workers."""
    rows: list[tuple[Any, ...]] = [
        ("µs of the driver a state, without training", f"{costs.state:.2f}"),
        ("µs of the driver a share", f"{costs.share:.0f}"),
        ("µs of training a state", f"{costs.training:.2f}"),
        ("µs of a worker a state", f"{costs.collecting:.1f}"),
        ("bytes to the driver a state", f"{costs.bytes_in:.0f}"),
        ("bytes to a worker a rollout", f"{costs.bytes_out:,.0f}"),
    ]
    rows += [(f"{n} workers here, states a second", f"{rate:,.0f}") for n, rate in here.items()]
    print("\n" + table(rows, (name, "")))
    simulated = [(f"{n:,} workers", *(f"{rate:,.0f}" for rate in both)) for n, both in rates.items()]
    print("\n" + table(simulated, ("simulated, states a second", "as it is", "--n-epochs 1")) + "\n", flush=True)


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
