"""What reward adds to students of pre-trained agents: the section Fine-tuning of RESULTS.md.

python -m experiments.finetuning --zoo ~/rl-trained-agents --task bipedal_walker half_cheetah swimmer --seeds 0 1 2

In: agents of the RL Zoo. Out: for each agent and training seed a distilled student and one that went on from it by
reward, both played on episodes that nobody chose, tested or proved anything on; and the section of RESULTS.md. It goes
on where it was stopped.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from experiments.compression_table import with_section
from experiments.finetuning_table import SECTION, Tuned, markdown
from policy_distill import distill, finetune, load_student, load_teacher
from policy_distill.cli import guarded
from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.reference import Player
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.student.file import write_atomically

PLAYED = 50_000_000
"""First of the episodes that both students, the teacher and a random policy play in the end."""


@dataclass(frozen=True)
class Task:
    """What is distilled, and how it goes on."""

    student: str
    distil_steps: int
    tune_steps: int
    method: str = "ppo"


TASKS = {
    "bipedal_walker": Task("mlp:32,32", 60_000, 200_000),
    "half_cheetah": Task("mlp:16", 100_000, 200_000),
    "swimmer": Task("linear", 20_000, 320_000, "es"),
    "lunar_lander": Task("mlp:2", 20_000, 200_000),
}


@dataclass(frozen=True)
class Config:
    """What to tune."""

    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; by itself what POLICY_DISTILL_ZOO says."""
    task: tuple[str, ...] = ("bipedal_walker", "half_cheetah", "swimmer")
    """Tasks, by the names of their experiments."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    episodes: int = 300
    """Episodes of each policy in the end."""
    eval_episodes: int = 200
    """Episodes of the test of each tuned student and of its proof, at most."""
    out: Path = Path("runs/finetuning")
    """Folder of all runs; what is done in it is left alone."""
    results: Path = Path("RESULTS.md")
    """The file whose section is written."""


def main(config: Config) -> None:
    """Run what is left, and write the section anew after each run."""
    found: list[Tuned] = []
    for task in config.task:
        if task not in TASKS:
            raise RequestError(f"expected --task among {', '.join(TASKS)}, found {task!r}")
        for seed in config.seeds:
            found.append(measured(config, task, seed))
            text = markdown(found, list(dict.fromkeys(one.task for one in found)), config.episodes)
            before = config.results.read_text() if config.results.exists() else ""
            write_atomically(config.results, with_section(before, SECTION, text).encode())
            print(found[-1].line, flush=True)


def measured(config: Config, task: str, seed: int) -> Tuned:
    """Return what reward added to the student of a task and a seed."""
    module: Any = importlib.import_module(f"envs.{task}")
    zoo = config.zoo or Path(os.environ.get("POLICY_DISTILL_ZOO", ""))
    teacher, how = load_teacher(zoo / module.ZOO, env=module.ENV_ID), TASKS[task]
    folder = config.out / f"{task}-{seed}"
    begun, tuned, played = folder / "distilled", folder / "tuned", folder / "played.json"
    shared: dict[str, Any] = {"seed": seed, "sampled_teacher": False, "track": "disabled"}
    if not (begun / "evaluation.json").exists():
        quick = {**shared, "timesteps": how.distil_steps, "eval_episodes": 100}
        distill(teacher, module.ENV_ID, how.student, out=begun, overwrite=True, **quick)
    if not (tuned / "evaluation.json").exists():
        longer = {**shared, "timesteps": how.tune_steps, "method": how.method, "eval_episodes": config.eval_episodes}
        again = bool(newest_first(tuned / "checkpoint"))
        finetune(begun, module.ENV_ID, teacher=teacher, out=tuned, resume=again, overwrite=not again, **longer)
    if not played.exists():
        students = [load_student(one / "student.safetensors") for one in (begun, tuned)]
        write_atomically(played, json.dumps(scores(teacher, students, module.ENV_ID, config.episodes)).encode())
    record = json.loads((tuned / "evaluation.json").read_text())
    return Tuned(task, module.ENV_ID, how.student, how.method, seed, json.loads(played.read_text()), record)


def scores(teacher: Any, students: Sequence[Any], env: Any, n_episodes: int) -> dict[str, list[float]]:
    """Return the returns of teacher, random policy, and the student before and after, on the same episodes."""
    with closing(Player(teacher, env, ProofPlan(n_episodes, PLAYED), None)) as player:
        for name, student in zip(("before", "after"), students, strict=True):
            player.add(name, student)
        names = ("teacher", "random", "before", "after")
        return {name: player.play(name, PLAYED, n_episodes).returns.tolist() for name in names}


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
