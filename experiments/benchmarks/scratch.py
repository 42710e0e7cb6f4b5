"""Environment steps to 90% of a teacher's gain: distil, then fine-tune, beside PPO from scratch on the same student.

python -m experiments.benchmarks.scratch --zoo $POLICY_DISTILL_ZOO

In: agents of the RL Zoo. Out: for each training seed the steps after which the student first has 90% of the teacher's
gain over a random policy, by its mode on 20 episodes that training never sees. PPO from
scratch is Stable-Baselines3's, with the RL Zoo's settings for the task, on a network of the student's layers.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from experiments.benchmarks.tasks import TASKS, make_teacher, prepare
from policy_distill import DistillConfig, load_teacher
from policy_distill.cli import guarded
from policy_distill.collection.actors import RandomPolicy
from policy_distill.commands.showing.output import table, widths
from policy_distill.environments.open import open_environments
from policy_distill.evaluation.episodes import run_episodes
from policy_distill.losses.table import choose_loss
from policy_distill.run.finetuning.ppo_session import PPOSession
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.run.session import Session
from policy_distill.system.threads import threads_for

OURS, SCRATCH = "distil, then fine-tune", "PPO from scratch"
SHARE = 0.9
LOOK_SEED, N_EPISODES = 20_000, 20
"""The episodes of the looks."""
DISTILLED = 32_768
"""Steps of the distillation; then the student goes on by reward."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """Folder of the RL Zoo's pre-trained agents."""
    tasks: tuple[str, ...] = ("lunar_lander", "half_cheetah")
    """Teachers and environments, as for speed."""
    timesteps: int = 300_000
    """Environment steps of each run, at most."""
    look_every: int = 10_000
    """Steps between two looks at PPO from scratch."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    out: Path = Path("runs/benchmarks")
    """Folder for scratch.json."""


Looks = Iterator[tuple[int, Any]]
"""Steps so far, and who acts by then."""


def ours(teacher: Any, task: Any, config: Config, seed: int) -> Looks:
    """Distil, and then go on by reward, as `distill` and `finetune` do; look after each rollout."""
    settings = DistillConfig(timesteps=DISTILLED, seed=seed)
    loss = choose_loss(settings.loss, teacher.family)
    with closing(open_environments(task.env_id, settings.n_envs, teacher.env_wrappers)) as envs:
        session = Session(teacher, envs, task.student, loss, settings)
        while not session.stream.done:
            rollout = session.collect()
            session.learn(rollout, session.stream.label(rollout))
            yield session.stream.env_steps, session.learner.student()
        origin = session.learner.student().record
    tuning = FinetuneConfig(timesteps=config.timesteps - DISTILLED, seed=seed, gamma=teacher.discount)
    with closing(open_environments(task.env_id, tuning.n_envs, teacher.env_wrappers)) as envs:
        tuned = PPOSession(origin, teacher, envs, loss, tuning, anchored=True)
        while not tuned.stream.done:
            rollout = tuned.collect()
            tuned.learn(rollout, tuned.stream.label(rollout))
            yield DISTILLED + tuned.stream.env_steps, tuned.learner.student()


def from_scratch(teacher: Any, name: str, config: Config, seed: int) -> Looks:
    """Train the student's network by PPO, with the settings of the RL Zoo."""
    task, recipe = TASKS[name], importlib.import_module(f"envs.{name}").TEACHER
    envs: Any = make_vec_env(task.env_id, recipe.n_envs, seed=seed)
    envs = VecNormalize(envs) if recipe.normalize else envs
    arch = {"net_arch": widths(task.student.removeprefix("mlp:"))}
    hyperparameters = {**recipe.hyperparameters, "policy_kwargs": arch}
    with closing(envs):
        model = PPO("MlpPolicy", envs, seed=seed, device="cpu", **hyperparameters)
        while model.num_timesteps < config.timesteps:
            model.learn(config.look_every, reset_num_timesteps=False)
            yield model.num_timesteps, load_teacher(model, env=task.env_id)


def steps_to(looks: Looks, envs: Any, goal: float) -> dict[str, float | None]:
    """Return the steps after which the mean return first reaches a goal, None for never, and the last look's."""
    steps, last = 0, -np.inf
    for steps, policy in looks:
        last = float(run_episodes(policy, envs, N_EPISODES, LOOK_SEED, True).returns.mean())
        if last >= goal:
            return {"steps": steps, "looked_until": steps, "return": last}
    return {"steps": None, "looked_until": steps, "return": last}


def measure(name: str, config: Config) -> dict[str, Any]:
    """Run both ways for each seed, and print what they took."""
    task, teacher = TASKS[name], make_teacher(name, config.zoo, config.out)
    with closing(open_environments(task.env_id, N_EPISODES, teacher.env_wrappers)) as envs, threads_for(teacher):
        random = RandomPolicy(envs.action_space, envs.n_envs, LOOK_SEED)
        top, bottom = (run_episodes(one, envs, N_EPISODES, LOOK_SEED, True).returns.mean() for one in (teacher, random))
        goal = float(bottom + SHARE * (top - bottom))
        runs: dict[str, list[Any]] = {OURS: [], SCRATCH: []}
        for seed in config.seeds:
            runs[OURS].append(steps_to(ours(teacher, task, config, seed), envs, goal))
            runs[SCRATCH].append(steps_to(from_scratch(teacher, name, config, seed), envs, goal))
            print(f"{name} seed {seed}: {runs[OURS][-1]} {runs[SCRATCH][-1]}", file=sys.stderr, flush=True)
    return {"env_id": task.env_id, "student": task.student, "goal": goal, "teacher": float(top), "runs": runs}


def row(record: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a task: the steps of each seed, and how many times more PPO from scratch takes at least."""
    cells, least = [], []
    for method in (OURS, SCRATCH):
        runs = record["runs"][method]
        words = (f"{one['steps']:,}" if one["steps"] else f"not by {one['looked_until']:,}" for one in runs)
        cells.append(", ".join(words))
        least.append([one["steps"] or one["looked_until"] for one in runs])
    ratios = [scratch / own for own, scratch in zip(*least, strict=True)]
    return (record["env_id"], record["student"], *cells, f"{min(ratios):.1f}")


def main(config: Config) -> None:
    """Measure each task and print."""
    prepare(config.tasks, config.zoo, config.out, timesteps=config.timesteps, look_every=config.look_every)
    records = {name: measure(name, config) for name in config.tasks}
    (config.out / "scratch.json").write_text(json.dumps(records, indent=2) + "\n")
    header = ("environment", "student", OURS, SCRATCH, "times, at least")
    print(f"{table([row(one) for one in records.values()], header)}\n{config.out / 'scratch.json'}")


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
