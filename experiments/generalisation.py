"""Where a student beats its teacher off the training distribution, if anywhere: the section Generalisation.

python -m experiments.generalisation --zoo ~/rl-trained-agents --task cartpole pendulum acrobot lunar_lander

In: agents of the RL Zoo. Out: for each agent and training seed a plain student, one whose states were collected under
perturbations too, and one of an ensemble of five plain students, all of one network and one number of steps; what each
keeps of the teacher's gain, on the same episodes, in the environment as it is, under perturbations and other physics;
and the section of RESULTS.md. It goes on where it was stopped.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from experiments.compression_table import with_section
from experiments.generalisation_table import METHODS, Found, markdown, section_for
from policy_distill import distill, load_student, load_teacher
from policy_distill.cli import guarded
from policy_distill.environments.perturbations.conditions import UNPERTURBED, parse_conditions
from policy_distill.errors import RequestError
from policy_distill.evaluation.contexts.robustness import noise_units
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.reference import Player
from policy_distill.interfaces.policies import Policy
from policy_distill.student.file import write_atomically

COLLECTED = "obs-noise:0.1,sticky:0.25,delay:1"
"""Conditions that states are collected under by one of the methods."""
HARDER = "obs-noise:0.3,sticky:0.5,delay:2"
"""Conditions beyond those, which nobody trains under."""
STUDENTS = {
    **{"cartpole": "mlp:8", "pendulum": "mlp:16", "acrobot": "mlp:8", "lunar_lander": "mlp:32,32"},
    "mountain_car": "mlp:16,16",
}
"""The network of each task."""
NOISE = "obs-noise:0.1"
"""Noise on the states of one of the methods."""
SMOOTHING = "temperature_kl:3"
"""The loss of another: both distributions at a temperature of 3."""
N_MEMBERS = 5
"""Students in an ensemble."""
GROUP = "generalisation"
"""Of the runs in W&B."""
PROOF_SEED = 40_000_000
"""First episode that students are judged on: none of their runs looks at any there."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; by itself what POLICY_DISTILL_ZOO says."""
    task: tuple[str, ...] = ("cartpole", "pendulum", "acrobot", "lunar_lander")
    """Tasks, by the names of their experiments."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of each method; the four further members of an ensemble have their own."""
    timesteps: int = 30_000
    """Environment steps of each student."""
    episodes: int = 100
    """Episodes of each policy under each condition."""
    method: tuple[str, ...] = METHODS
    """How students are made: plain, perturbed, ensemble, noisy, smoothed. Others than the first three write a section
    of their own."""
    track: Literal["offline", "online", "trackio", "disabled"] = "disabled"
    """Weights & Biases of every student, in the group generalisation."""
    out: Path = Path("runs/generalisation")
    """Folder of all runs; what is done in it is left alone."""
    results: Path = Path("RESULTS.md")
    """The file whose section is written."""


def main(config: Config) -> None:
    """Run what is left, and write the section anew after each task."""
    found: list[Found] = []
    done: list[str] = []
    text = ""
    for task in config.task:
        found += measured(config, task)
        done.append(task)
        before = config.results.read_text() if config.results.exists() else ""
        text = markdown(found, " ".join(done), config.timesteps, config.episodes, config.method)
        write_atomically(config.results, with_section(before, section_for(config.method), text).encode())
    print(text)


def measured(config: Config, task: str) -> list[Found]:
    """Return what every student of a task scores under every condition, beside its teacher and a random policy."""
    if task not in STUDENTS:
        raise RequestError(f"expected --task among {', '.join(STUDENTS)}, found {task!r}")
    module: Any = importlib.import_module(f"envs.{task}")
    zoo = config.zoo or Path(os.environ.get("POLICY_DISTILL_ZOO", ""))
    teacher = load_teacher(zoo / module.ZOO, env=module.ENV_ID)
    students = students_of(config, task, teacher, module.ENV_ID)
    path = config.out / task / "returns.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    for name, env in worlds_of(module, teacher).items():
        missing = {who: one for who, one in students.items() if who not in known.get(name, {})}
        if missing or name not in known:
            known[name] = {**known.get(name, {}), **scores(teacher, missing, env, config.episodes)}
            # After each: all of them take an hour.
            write_atomically(path, json.dumps(known).encode())
            print(f"{task} under {name}: " + ", ".join(f"{who} {_mean(all_):.1f}" for who, all_ in known[name].items()))
    return [Found(module.ENV_ID, STUDENTS[task], name, returns, PROOF_SEED) for name, returns in known.items()]


def students_of(config: Config, task: str, teacher: Any, env: str) -> dict[str, Any]:
    """Return the students of all methods and seeds; of a temperature only where actions are chosen among finitely many.

    Raises:
        RequestError: for an unknown method.
    """
    if unknown := [name for name in config.method if name not in MAKERS]:
        raise RequestError(f"expected --method among {', '.join(MAKERS)}, found {unknown[0]!r}")
    names = [name for name in config.method if name != "smoothed" or teacher.family.head.is_discrete]
    found = {}
    for name in names:
        for seed in config.seeds:
            folder = MAKERS[name](config, task, teacher, env, seed)
            found[f"{name} {seed}"] = load_student(folder / "student.safetensors")
    return found


def worlds_of(module: Any, teacher: Policy) -> dict[str, Any]:
    """Return the environments to judge in by what they are called: as it is, under conditions, other physics."""
    conditions = [UNPERTURBED, *parse_conditions(f"{module.PERTURB},{HARDER}")]
    scale = noise_units(teacher, module.ENV_ID, conditions)
    worlds = {one.name: one.maker(module.ENV_ID, list(teacher.env_wrappers), scale) for one in conditions}
    return {**worlds, **{name: name for name in module.VARIANTS}}


def scores(teacher: Policy, students: Mapping[str, Policy], env: Any, n_episodes: int) -> dict[str, list[float]]:
    """Return the returns of teacher, random policy and students on the same episodes."""
    with closing(Player(teacher, env, ProofPlan(n_episodes, PROOF_SEED), None)) as player:
        for name, student in students.items():
            player.add(name, student)
        return {
            name: player.play(name, PROOF_SEED, n_episodes).returns.tolist()
            for name in ("teacher", "random", *students)
        }


def plain(config: Config, task: str, teacher: Any, env: str, seed: int) -> Path:
    """Distil as always."""
    return _distilled(config, task, teacher, env, f"plain-{seed}", seed)


def perturbed(config: Config, task: str, teacher: Any, env: str, seed: int) -> Path:
    """Distil on states that were collected under conditions too."""
    return _distilled(config, task, teacher, env, f"perturbed-{seed}", seed, collect_perturb=COLLECTED)


def ensemble(config: Config, task: str, teacher: Any, env: str, seed: int) -> Path:
    """Distil five students, the first of them the plain one, and these together once more."""
    members = [seed, *(1_000 * (seed + 1) + number for number in range(1, N_MEMBERS))]
    folders = [_distilled(config, task, teacher, env, f"plain-{member}", member) for member in members]
    return _distilled(config, task, load_teacher(folders, env=env), env, f"ensemble-{seed}", seed)


def noisy(config: Config, task: str, teacher: Any, env: str, seed: int) -> Path:
    """Distil on states with noise on them too, which the teacher labels as it sees them."""
    return _distilled(config, task, teacher, env, f"noisy-{seed}", seed, collect_perturb=NOISE)


def smoothed(config: Config, task: str, teacher: Any, env: str, seed: int) -> Path:
    """Distil labels that are smoothed by a temperature."""
    return _distilled(config, task, teacher, env, f"smoothed-{seed}", seed, loss=SMOOTHING)


MAKERS = {"plain": plain, "perturbed": perturbed, "ensemble": ensemble, "noisy": noisy, "smoothed": smoothed}


def _distilled(config: Config, task: str, teacher: Any, env: str, name: str, seed: int, **settings: Any) -> Path:
    folder = config.out / task / name
    if not (folder / "student.safetensors").exists():
        track = config.track if config.track == "disabled" else {"mode": config.track, "group": GROUP}
        quick: dict[str, Any] = {"eval_episodes": 0, "track": track, "timesteps": config.timesteps, "seed": seed}
        distill(teacher, env, STUDENTS[task], out=folder, overwrite=True, **quick, **settings)
        print(folder, flush=True)
    return folder


def _mean(returns: list[float]) -> float:
    return sum(returns) / len(returns)


if __name__ == "__main__":
    options = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(options)))
