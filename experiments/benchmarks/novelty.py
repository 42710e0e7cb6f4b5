"""What a monitor notices: false alarms on fresh episodes, and conditions of `compare --perturb` told from none.

python -m experiments.benchmarks.novelty --zoo $POLICY_DISTILL_ZOO

A row for each condition is printed as it is done, and appended to novelty.jsonl; after them what the monitor costs.
Steps of fresh episodes under a condition are told from those without by their novelty: by the observation alone, with
the step before it, and by the mean of 50 steps in a row. AUROC is the chance that a disturbed one has the larger
number.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from policy_distill import DistillConfig, distill, load_teacher
from policy_distill.cli import guarded
from policy_distill.environments.open import open_environments
from policy_distill.environments.perturbations.conditions import UNPERTURBED, Condition, parse_conditions
from policy_distill.errors import RequestError
from policy_distill.evaluation.contexts.robustness import noise_units
from policy_distill.exporters.export import export
from policy_distill.run.monitoring.equip import N_EPISODES, with_monitor
from policy_distill.run.monitoring.play import Steps, play_episodes
from policy_distill.student.runtime import Student
from policy_distill.system.blame import others_blamed

CONDITIONS = "obs-noise:0.1,obs-noise:0.3,action-noise:0.2,sticky:0.25,delay:1"
TASKS = {
    "cartpole": ("qrdqn-CartPole-v1", "CartPole-v1", "mlp:32,32", CONDITIONS),
    "lunar_lander": ("ppo-LunarLander-v2", "LunarLander-v3", "mlp:32,32", f"{CONDITIONS},env:gravity=-5"),
    "pendulum": ("sac-Pendulum-v1", "Pendulum-v1", "mlp:32,32", CONDITIONS),
    "acrobot": ("a2c-Acrobot-v1", "Acrobot-v1", "mlp:32,32", CONDITIONS),
    "half_cheetah": ("ppo-HalfCheetah-v3", "HalfCheetah-v5", "mlp:64,64", CONDITIONS),
}
"""The RL Zoo's agent, its environment, the student's network, and what it is tried under."""
WINDOW = 50
"""Steps of a mean."""
HIGHEST = 1e4
"""What one step counts at most in a mean."""
FRESH_SEED = 1_000
"""Of episodes that no monitor was made of."""
BENCH = """\
#include <stdio.h>
#include <time.h>
#include "policy.h"
static double now(void) { return (double)clock() / CLOCKS_PER_SEC; }
int main(void) {
    static policy_obs obs[64][POLICY_N_OBS];
    policy_action action[POLICY_N_ACTIONS];
    unsigned s = 1;
    double best[2] = {1e9, 1e9};
    for (int k = 0; k < 64; k++)
        for (int i = 0; i < POLICY_N_OBS; i++) {
            s = s * 1664525u + 1013904223u;
            obs[k][i] = (policy_obs)((s >> 8) / 16777216.0 - 0.5);
        }
    for (int r = 0; r < 40; r++)
        for (int watched = 0; watched < 2; watched++) {
            const double began = now();
            for (int k = 0; k < 20000; k++) {
                if (watched) policy_act_watched(obs[k & 63], POLICY_GO_ON, 0, action);
                else policy_act(obs[k & 63], action);
            }
            const double took = (now() - began) / 20000 * 1e9;
            if (took < best[watched]) best[watched] = took;
        }
    printf("%.1f %.1f\\n", best[0], best[1]);
    return 0;
}
"""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path
    """Folder of the RL Zoo's pre-trained agents."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(name="task")] = tuple(TASKS)
    """Which."""
    timesteps: int = 100_000
    """Environment steps of the distillation."""
    episodes: int = N_EPISODES
    """Episodes of a monitor."""
    fresh: int = 64
    """Fresh episodes without and under each condition."""
    out: Path = Path("runs/benchmarks/novelty.jsonl")
    """Where rows go."""


def main(settings: Config) -> None:
    """Measure and print."""
    if unknown := [name for name in settings.tasks if name not in TASKS]:
        raise RequestError(f"expected tasks among {', '.join(TASKS)}, found {', '.join(unknown)}")
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    for name in settings.tasks:
        for row in rows(name, settings):
            print(", ".join(f"{key} {_text(value)}" for key, value in row.items()), flush=True)
            with settings.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


def rows(name: str, settings: Config) -> Iterator[dict[str, Any]]:
    """Yield a row for each condition, the first without any, and one of what the monitor costs."""
    agent, env_id, network, conditions = TASKS[name]
    with others_blamed(f"{agent} cannot be loaded", "name a folder of the collection with --zoo", RequestError):
        teacher = load_teacher(settings.zoo / agent)
    config = DistillConfig(timesteps=settings.timesteps, eval_episodes=0)
    plain = distill(teacher, env_id, network, config=config).student
    student = with_monitor(plain, env_id, settings.episodes)
    known: tuple[np.ndarray, ...] = ()
    tried = [UNPERTURBED, *parse_conditions(conditions)]
    scale = noise_units(teacher, env_id, tried)
    for condition in tried:
        episodes = fresh_episodes(student, env_id, condition, scale, settings.fresh)
        found = novelties(student, episodes)
        known = known or found
        areas = [auroc(*pair) for pair in zip(known, found, strict=True)]
        shares = [float(np.mean(student.monitor.along(one.obs, one.actions) > 1.0)) for one in episodes]  # type: ignore[union-attr]
        row = {"task": name, "condition": condition.name, "novel": float(np.mean(shares))}
        yield row | dict(zip(("auroc_alone", "auroc_step", f"auroc_{WINDOW}"), areas, strict=True))
    yield {"task": name, **costs(plain, student)}


def fresh_episodes(student: Student, env_id: str, condition: Condition, scale: Any, n: int) -> list[Steps]:
    """Return episodes under a condition, the same seeds for all of them."""
    make = condition.maker(env_id, student.env_wrappers, scale)
    with closing(open_environments(make, min(16, n))) as envs:
        return play_episodes(envs, student, student.plan, n, FRESH_SEED, seen=student.view.narrow)


def novelties(student: Student, episodes: Sequence[Steps]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the novelty of each observation alone, of each step, and the mean of steps in a row."""
    monitor = student.monitor
    assert monitor is not None
    steps = [monitor.along(one.obs, one.actions) for one in episodes]
    means = []
    for one in steps:
        capped = np.minimum(one, HIGHEST)
        means += [capped[k : k + WINDOW].mean() for k in range(0, max(1, len(one) - WINDOW + 1), WINDOW)]
    alone = np.concatenate([monitor.place_novelty(one.obs) for one in episodes])
    return alone, np.concatenate(steps), np.array(means)


def auroc(known: np.ndarray, novel: np.ndarray) -> float:
    """Return the chance that one of `novel` is above one of `known`; of equal ones half (Mann-Whitney)."""
    values, counts = np.unique(np.concatenate([known, novel]), return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = ranks[np.searchsorted(values, novel)].sum()
    return float((total - len(novel) * (len(novel) + 1) / 2) / (len(known) * len(novel)))


def costs(plain: Student, watched: Student) -> dict[str, Any]:
    """Return what a monitor adds: bytes of the file, flash, and time in Python and in C, without and with it."""
    with tempfile.TemporaryDirectory() as folder:
        place, found = Path(folder), dict[str, Any]()
        made = {"plain": plain, "watched": watched}
        found["file_bytes"] = [student.save(place / name).stat().st_size for name, student in made.items()]
        facts = [export(student, place / f"{name}_c", "c", n_states=256).facts for name, student in made.items()]
        found["flash_bytes"] = [one["flash_bytes"] for one in facts]
        if all("cortex_m4" in one for one in facts):
            found["cortex_m4_text"] = [one["cortex_m4"]["text"] for one in facts]
        found |= {f"c_ns_{level}": _in_c(place / "watched_c", level) for level in ("O2", "Os")}
    obs = np.zeros(watched.description.observation_space["shape"], np.float32)
    found["python_us"] = [_us(lambda: plain.act(obs)), _us(lambda: watched.act(obs, monitor=True))]
    return found


def _in_c(folder: Path, level: str) -> list[float] | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    (folder / "bench.c").write_text(BENCH)
    sources = [str(folder / name) for name in ("policy.c", "bench.c")]
    subprocess.run([compiler, "-std=c99", f"-{level}", *sources, "-o", str(folder / "bench")], check=True)
    return [float(word) for word in subprocess.check_output([str(folder / "bench")], text=True).split()]


def _us(call: Callable[[], Any], n: int = 2_000, repeats: int = 30) -> float:
    """Return the least mean processor time of a call, in microseconds."""
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(n):
            call()
        best = min(best, (time.process_time() - began) / n)
    return best * 1e6


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    found = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(found)))
