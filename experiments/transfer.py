"""What a student of one task is worth in another one, beside one that begins from nothing: the section Transfer.

python -m experiments.transfer --zoo ~/rl-trained-agents --task pendulum lunar_gravity half_cheetah --seeds 0 1 2

In: agents of the RL Zoo. Out: for each task and training seed a student of the agent that goes on by PPO in a changed
environment, and one of the same network, statistics and settings whose weights are random; both learning curves on the
same episodes; and the section of RESULTS.md. It goes on where it was stopped.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import torch
import tyro

from envs.half_cheetah import VARIANTS as SLIPPERY
from envs.variants import register_variant, scale
from experiments.compression_table import with_section
from experiments.transfer_table import SECTION, Curve, Pair, markdown
from policy_distill import distill, load_student, load_teacher
from policy_distill.cli import guarded
from policy_distill.errors import RequestError
from policy_distill.report.write import try_report
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.run.finetuning.form import with_spread
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.run.transfer.transfer import transfer
from policy_distill.student.file import write_atomically
from policy_distill.student.runtime import Student
from policy_distill.tracking.jsonl import read_metrics
from policy_distill.training.policy import StudentPolicy

# As much heavier and longer as in the variants of `envs.pendulum`, and twice as far from what the student knows.
OTHER = register_variant("PendulumLongHeavy-v1", "Pendulum-v1", scale(m=1.2, l=1.1))
FAR = register_variant("PendulumLongerHeavier-v1", "Pendulum-v1", scale(m=1.5, l=1.2))
WARM_UP = 8_192
"""Steps in which the transferred student's critic learns alone; they count. From nothing there is nothing to spare."""


@dataclass(frozen=True)
class Task:
    """Where a student comes from, and where it goes on."""

    agent: str
    """The folder of the agent in the RL Zoo."""
    began_in: str
    env: str
    student: str
    distil_steps: int
    steps: int
    """Environment steps of either student in the changed environment."""
    env_kwargs: tuple[tuple[str, Any], ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    """Of PPO, for both."""
    looks: int = 10
    """Looks at either student, beside the one before its first step."""


OF_PENDULUM = (("learning_rate", 1e-3), ("gamma", 0.9), ("n_envs", 4), ("n_steps", 1024), ("target_kl", 0.0))
# Settings of the lander and the cheetah were chosen by what a student from nothing came to with seed 0: γ, λ and the
# entropy's weight are the RL Zoo's, rollouts are shorter, and the rate is higher, so that few steps are enough.
OF_LANDER = (
    *(("n_envs", 8), ("n_steps", 256), ("n_epochs", 10), ("learning_rate", 1e-3)),
    *(("gamma", 0.999), ("gae_lambda", 0.98), ("ent_coef", 0.01)),
)
OF_CHEETAH = (("n_envs", 4), ("n_steps", 512), ("learning_rate", 1e-3), ("gamma", 0.98), ("gae_lambda", 0.92))
LANDER = ("ppo-LunarLander-v2", "LunarLander-v3", "LunarLander-v3", "mlp:32,32", 20_000, 122_880)
TASKS = {
    "pendulum": Task("sac-Pendulum-v1", "Pendulum-v1", OTHER, "mlp:16", 20_000, 49_152, settings=OF_PENDULUM, looks=12),
    "pendulum_far": Task("sac-Pendulum-v1", "Pendulum-v1", FAR, "mlp:16", 20_000, 81_920, settings=OF_PENDULUM),
    "lunar_gravity": Task(*LANDER, env_kwargs=(("gravity", -6.0),), settings=OF_LANDER, looks=24),
    "lunar_wind": Task(*LANDER, env_kwargs=(("enable_wind", True),), settings=OF_LANDER, looks=24),
    "half_cheetah": Task(
        *("ppo-HalfCheetah-v3", "HalfCheetah-v5", SLIPPERY[-1], "mlp:32,32", 40_000, 65_536),
        settings=OF_CHEETAH,
        looks=16,
    ),
    # Nothing of what the student saw is there, and its actions are others: only its middle layer goes along.
    "cartpole": Task(
        *("a2c-Acrobot-v1", "Acrobot-v1", "CartPole-v1", "mlp:16,16", 20_000, 32_768),
        settings=(("n_envs", 4), ("n_steps", 512), ("learning_rate", 1e-3)),
        looks=16,
    ),
}


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; by itself what POLICY_DISTILL_ZOO says."""
    task: tuple[str, ...] = ("pendulum", "lunar_gravity", "half_cheetah", "cartpole")
    """Tasks, by name; pendulum_far and lunar_wind too."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds; both students of a seed are judged on the same episodes."""
    timesteps: int | None = None
    """Environment steps of either student; by itself those of the task."""
    select_episodes: int = 10
    """Episodes of each look at a student."""
    n_selections: int | None = None
    """Looks in a run, beside the one before it; by itself those of the task."""
    track: str = "disabled"
    """Weights & Biases, in one group: offline, online or disabled."""
    out: Path = Path("runs/transfer")
    """Folder of all runs; what is done in it is left alone."""
    results: Path = Path("RESULTS.md")
    """The file whose section is written."""


def main(config: Config) -> None:
    """Run what is left, and write the section anew after each pair."""
    found: list[Pair] = []
    for task in config.task:
        if task not in TASKS:
            raise RequestError(f"expected --task among {', '.join(TASKS)}, found {task!r}")
        for seed in config.seeds:
            found.append(measured(config, task, seed))
            text = markdown(found, config.select_episodes)
            before = config.results.read_text() if config.results.exists() else ""
            write_atomically(config.results, with_section(before, SECTION, text).encode())
            print(found[-1].line, flush=True)
    try_report(config.out)


def measured(config: Config, name: str, seed: int) -> Pair:
    """Return both learning curves of a task and a seed."""
    task, folder = TASKS[name], config.out / f"{name}-{seed}"
    begun = folder / "distilled"
    if not (begun / "evaluation.json").exists():
        agent = (config.zoo or Path(os.environ.get("POLICY_DISTILL_ZOO", ""))) / task.agent
        quick: dict[str, Any] = {"eval_episodes": 0, "select_episodes": 0, "stop": "never", "track": "disabled"}
        teacher, steps = load_teacher(agent, env=task.began_in), min(task.distil_steps, config.timesteps or 1_000_000)
        distill(teacher, task.began_in, task.student, out=begun, overwrite=True, seed=seed, timesteps=steps, **quick)
    student = load_student(begun / "student.safetensors")
    # Both are of the same network and see by the same statistics; both know what the changed task looks like.
    curves = [
        went_on(config, task, folder / "transferred", begun, seed, WARM_UP),
        went_on(config, task, folder / "scratch", anew(student, seed), seed, 0),
    ]
    words = ", ".join(f"{key} {value}" for key, value in task.env_kwargs)
    return Pair(name, task.began_in, f"{task.env} {words}".strip(), task.student, seed, *curves)


def went_on(config: Config, task: Task, out: Path, student: Any, seed: int, warm_up: int) -> Curve:
    """Let a student learn in the changed environment, and return what it scored on the way."""
    if not (out / "evaluation.json").exists():
        again = bool(newest_first(out / "checkpoint"))
        steps = config.timesteps or task.steps
        looks = {"select_episodes": config.select_episodes, "n_selections": config.n_selections or task.looks}
        settings: dict[str, Any] = {**dict(task.settings), **looks, "timesteps": steps, "seed": seed}
        # The looks say all; without a proof there are none, so that it is as short as can be.
        proof = {"eval_episodes": 4, "sampled_teacher": False, "n_eval_envs": 10}
        settings |= {"critic_steps": min(warm_up, steps // 8), **proof}
        env = gymnasium.spec(task.env)
        env.kwargs.update(dict(task.env_kwargs))
        track = None if config.track == "disabled" else {"mode": config.track, "group": config.out.name}
        transfer(student, env, out=out, resume=again, overwrite=not again, track=track, **settings)
        print(out, flush=True)
    rows = [row for row in read_metrics(out / "metrics.jsonl") if "eval/selection_return" in row]
    (total,) = {json.loads((out / "evaluation.json").read_text())["env_steps"]}
    points = [(int(row["time/env_steps"]), float(row["eval/selection_return"])) for row in rows]
    return Curve(tuple(points), total)


def anew(student: Student, seed: int) -> Student:
    """Return a student like another one, with random weights, and where log σ is its own with that of `finetune`."""
    spec = StudentPolicy.from_record(with_spread(student.record, 0.0)).spec
    policy = StudentPolicy(spec, torch.Generator().manual_seed(1_000 + seed))
    if policy.log_std is not None:
        torch.nn.init.constant_(policy.log_std, FinetuneConfig().log_std_init)
    return Student.of(policy.to_record(student.description.provenance))


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
