"""A grid of environments, students and training seeds on the local cores; it goes on where it was stopped.

python -m experiments.suite --envs cartpole,lunar_lander --seeds 0,1,2 --students mlp:8 mlp:32,32

In: names of experiments. Out: one run folder a cell, a table, and one report. A cell that fails is said, and the others
are run all the same.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from experiments.results import results_table
from policy_distill.cli import guarded
from policy_distill.commands.output import table
from policy_distill.errors import RequestError
from policy_distill.report.read_run import find_runs
from policy_distill.report.write import write_report
from policy_distill.tracking.suite import track_suite

SCRIPTS = Path(__file__).parent
NOT_EXPERIMENTS = {
    "__init__",
    "blind_cartpole",
    "blind_lunar_lander",
    "run",
    "suite",
    "results",
    "second_block",
    "compression",
    "tree_lunar_lander",  # another student for an environment that has its own
    "compression_table",
    "calibration",
    "objectives",
    "noisy_teacher",
    "finetuning",
    "finetuning_table",
    "generalisation",
    "generalisation_table",
    "simulations",
    "seed_simulations",
    "simulated_returns",
    *("minatar_breakout", "pong"),  # teachers of an hour, or with classes of their own
}


@dataclass(frozen=True)
class Suite:
    """Settings of a suite."""

    envs: str
    """Experiments, divided by commas: cartpole,lunar_lander; or all."""
    students: tuple[str, ...] = ()
    """Networks, such as mlp:8 mlp:32,32; each experiment's own where none is named."""
    seeds: str = "0,1,2"
    """Training seeds, divided by commas."""
    out: Path = Path("runs/suite")
    """Folder of the suite; what is done in it is left alone."""
    zoo: Path | None = None
    """A folder of pre-trained agents, such as ppo-LunarLander-v2; teachers that are not there are trained."""
    jobs: int = 1
    """Cells at once, each on one core."""
    perturb: bool = False
    """Try the first seed's students under perturbations and variants too."""
    track: Literal["offline", "online", "trackio", "disabled"] = "offline"
    """Weights & Biases, in one group."""
    options: str = ""
    """Further options of every experiment, as one text: --options="--timesteps 20000 --eval-episodes 50"."""


@dataclass(frozen=True)
class Cell:
    """One teacher or one student to make, by one command."""

    name: str
    folder: Path
    command: list[str]


def names_of_experiments() -> list[str]:
    """Return the names of all experiments."""
    return sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem not in NOT_EXPERIMENTS)


def main(suite: Suite) -> int:
    """Run what is left of the suite; return 1 where a cell failed or left what cannot be read."""
    # Cells run in the root of the repository, which need not be where this was started.
    suite = replace(suite, out=suite.out.resolve(), zoo=suite.zoo.resolve() if suite.zoo else None)
    names = _chosen(suite.envs)
    seeds = _seeds(suite.seeds)
    teachers = {name: _teacher(suite, name) for name in names}
    # Teachers first: all students of an environment need the same one.
    failed = _run_all([cell for cell in (_teacher_cell(suite, name) for name in names) if cell], suite.jobs)
    lost = {name.partition(" ")[0] for name in failed}
    students = [
        _student_cell(suite, name, student, seed, teachers[name])
        for name in names
        if name not in lost
        for student in suite.students or ("",)
        for seed in seeds
    ]
    failed += _run_all(students, suite.jobs)
    runs, unreadable = find_runs(suite.out)
    if not runs:
        raise RequestError(f"no cell of the suite came to an end; their logs are in {suite.out}")
    print(f"\n{results_table(runs)}\n\n{write_report(suite.out)}")
    track_suite(suite.track, suite.out, [run.path for run in runs])
    if failed:
        print(table([(name, "failed") for name in failed]), file=sys.stderr)
    # The report has said which cannot be read, and why.
    return 1 if failed or unreadable else 0


def _chosen(text: str) -> list[str]:
    known = names_of_experiments()
    names = known if text == "all" else [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise RequestError(f"expected experiments among {', '.join(known)}, found {name!r}")
    return names


def _seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",") if seed.strip()]
    except ValueError:
        raise RequestError(f"expected seeds such as 0,1,2, found {text!r}") from None


def _teacher(suite: Suite, name: str) -> Path:
    """Return where an environment's teacher is, or will be."""
    agent = importlib.import_module(f"envs.{name}").ZOO
    if suite.zoo is not None and agent and (suite.zoo / agent).is_dir():
        return suite.zoo / agent
    return suite.out / name / "teacher" / "teacher.zip"


def _teacher_cell(suite: Suite, name: str) -> Cell | None:
    path = _teacher(suite, name)
    if path.suffix != ".zip" or path.exists():
        return None
    command = [*_script(suite, name), "--out", str(path.parent), "--seeds"]
    return Cell(f"{name} teacher", path.parent, [*command, *suite.options.split()])


def _student_cell(suite: Suite, name: str, student: str, seed: int, teacher: Path) -> Cell:
    folder = suite.out / name / (student.replace(":", "-").replace(",", "-") or "student")
    command = [*_script(suite, name), "--teacher", str(teacher), "--out", str(folder), "--seeds", str(seed), "--resume"]
    if student:
        command += ["--student", student]
    if suite.perturb and seed == _seeds(suite.seeds)[0]:
        command += ["--perturb"]
    label = f"{name} {student}".strip()
    return Cell(f"{label} seed {seed}", folder / f"seed-{seed}", [*command, *suite.options.split()])


def _script(suite: Suite, name: str) -> list[str]:
    group = suite.out.resolve().name
    return [sys.executable, "-m", f"experiments.{name}", "--track", suite.track, "--group", group]


def _run_all(cells: list[Cell], jobs: int) -> list[str]:
    """Run cells, so many at once; return the names of those that failed."""
    left = [cell for cell in cells if not (cell.folder / "evaluation.json").is_file()]
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        outcomes = list(pool.map(_run, left))
    return [cell.name for cell, done in zip(left, outcomes, strict=True) if not done]


def _run(cell: Cell) -> bool:
    log = cell.folder.parent / f"{cell.folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{cell.name} …", flush=True)
    with log.open("w") as file:
        # One core a cell: the threads of several would wait for each other.
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            cell.command, stdout=file, stderr=subprocess.STDOUT, cwd=SCRIPTS.parent, env=env, check=False
        )
    print(f"{cell.name}: {'done' if done.returncode == 0 else f'failed, see {log}'}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    settings = tyro.cli(Suite, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
