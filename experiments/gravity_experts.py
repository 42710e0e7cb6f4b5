"""Three experts of three gravities as one teacher of a student that sees no gravity: the section Gravity experts.

python -m experiments.gravity_experts --zoo ~/rl-trained-agents --seeds 0 1 2

In: an agent of the RL Zoo. Out: an expert for each gravity (the best there of the agent and the experts before it,
trained on under that gravity alone, as it was at its best), students of all three that were dispatched by gravity and
see none, the same students once they went on by reward, what everybody returns under each gravity, on the same
episodes, and the section of RESULTS.md. It goes on where it was stopped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from envs.gravity_lander import ENV_ID, GRAVITIES
from experiments.compression_table import with_section
from experiments.gravity_experts_table import SECTION, UnderGravity, markdown
from experiments.gravity_training import train_expert
from policy_distill import distill, finetune, load_student, load_teacher
from policy_distill.cli import guarded
from policy_distill.environments.names import with_kwargs
from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.reference import Player
from policy_distill.interfaces.policies import Policy, Teacher
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.student.file import write_atomically

PLAYED = 60_000_000
"""First of the episodes that experts, students and a random policy play in the end; nobody was chosen by them."""
TUNING: dict[str, Any] = {
    **{"n_envs": 16, "n_steps": 512, "batch_size": 1024, "learning_rate": 1e-3, "gamma": 0.999, "gae_lambda": 0.98},
    **{"select_episodes": 40, "n_selections": 6, "eval_episodes": 150},
}
"""Of the students that go on by reward: an agent's discount, and episodes that tell good from a little better."""
GROUP = "gravity_experts"
"""Of the runs in W&B."""


@dataclass(frozen=True)
class Config:
    """What to make and to measure."""

    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; by itself what POLICY_DISTILL_ZOO says."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of the students."""
    expert_steps: int = 400_000
    """Environment steps that each expert goes on for."""
    timesteps: int = 80_000
    """Environment steps of each student."""
    tune_steps: int = 100_000
    """Environment steps that each student goes on for by reward."""
    student: str = "mlp:64,64"
    """The students' network."""
    episodes: int = 150
    """Episodes of each policy under each gravity."""
    eval_episodes: int = 60
    """Episodes of each distilled student's own proof, at most, under gravities as they come."""
    track: Literal["offline", "online", "disabled"] = "offline"
    """Weights & Biases, in the group gravity_experts."""
    out: Path = Path("runs/gravity_experts")
    """Folder of all runs; what is done in it is left alone."""
    results: Path = Path("RESULTS.md")
    """The file whose section is written."""


def main(config: Config) -> None:
    """Make what is left, and write the section."""
    if not config.seeds:
        raise RequestError("expected at least one training seed after --seeds, found none")
    if config.episodes < 2:
        raise RequestError(f"expected at least 2 episodes, found {config.episodes}; set --episodes")
    experts = list[Path]()
    for gravity in GRAVITIES:
        experts.append(expert(config, gravity, experts))
    teacher = load_teacher(experts, combine="dispatch:expert")
    students: dict[str, Policy] = {}
    for seed in config.seeds:
        students[f"student {seed}"] = load_student(student(config, teacher, seed))
        students[f"tuned {seed}"] = load_student(tuned(config, seed))
    found = [UnderGravity(gravity, under(config, teacher, students, gravity), PLAYED) for gravity in GRAVITIES]
    steps = (config.expert_steps, config.timesteps, config.tune_steps)
    text = markdown(found, config.student, steps, config.episodes)
    before = config.results.read_text() if config.results.exists() else ""
    write_atomically(config.results, with_section(before, SECTION, text).encode())
    print(text)


def expert(config: Config, gravity: float, earlier: Sequence[Path]) -> Path:
    """Return the expert of a gravity, trained where there is none yet; it may begin as an earlier one.

    Raises:
        RequestError: where there is no agent to begin with.
    """
    zoo = config.zoo or Path(os.environ.get("POLICY_DISTILL_ZOO", ""))
    path = config.out / "experts" / f"gravity{gravity:g}" / "agent.zip"
    if not path.exists():
        begun = [load_teacher(one, env="LunarLander-v3") for one in (zoo / "ppo-LunarLander-v2", *earlier)]
        print(path, train_expert(begun, gravity, config.expert_steps, path), flush=True)
    return path


def student(config: Config, teacher: Teacher, seed: int) -> Path:
    """Return the student of a training seed, distilled where there is none yet."""
    folder = config.out / f"student-{seed}"
    if not (folder / "evaluation.json").exists():
        again = bool(newest_first(folder / "checkpoint"))
        settings: dict[str, Any] = {"timesteps": config.timesteps, "seed": seed, "eval_episodes": config.eval_episodes}
        # Gravity is the key by which experts are dispatched; what is left is what every lander shows.
        settings |= {"observe": "observation", "track": {"mode": config.track, "group": GROUP}}
        distill(teacher, ENV_ID, config.student, out=folder, resume=again, overwrite=not again, **settings)
        print(folder, flush=True)
    return folder / "student.safetensors"


def tuned(config: Config, seed: int) -> Path:
    """Return the student of a training seed once it went on by reward, under gravities as they come."""
    folder = config.out / f"tuned-{seed}"
    if not (folder / "evaluation.json").exists():
        again = bool(newest_first(folder / "checkpoint"))
        settings = {**TUNING, "timesteps": config.tune_steps, "seed": seed}
        settings |= {"track": {"mode": config.track, "group": GROUP}}
        finetune(config.out / f"student-{seed}", ENV_ID, out=folder, resume=again, overwrite=not again, **settings)
        print(folder, flush=True)
    return folder / "student.safetensors"


def under(
    config: Config, teacher: Teacher, students: Mapping[str, Policy], gravity: float
) -> Mapping[str, list[float]]:
    """Return what everybody returns under one gravity, on the same episodes."""
    path = config.out / f"returns{gravity:g}.json"
    if not path.exists():
        everybody = {f"expert {place:g}": one for place, one in zip(GRAVITIES, teacher.members, strict=True)}
        found = scores(teacher, {**everybody, **students}, with_kwargs(ENV_ID, {"only": gravity}), config.episodes)
        write_atomically(path, json.dumps(found).encode())
    known: dict[str, list[float]] = json.loads(path.read_text())
    return known


def scores(teacher: Teacher, others: Mapping[str, Policy], env: Any, n_episodes: int) -> dict[str, list[float]]:
    """Return the returns of the dispatched teacher, a random policy and all others."""
    with closing(Player(teacher, env, ProofPlan(n_episodes, PLAYED), None)) as player:
        for name, one in others.items():
            player.add(name, one)
        return {name: player.play(name, PLAYED, n_episodes).returns.tolist() for name in ("teacher", "random", *others)}


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
