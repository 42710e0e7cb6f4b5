"""A grid of environments, students and training seeds on the local cores; it goes on where it was stopped.

python -m experiments.suite --envs cartpole,lunar_lander --seeds 0,1,2 --students mlp:8 mlp:32,32

In: names of experiments. Out: one run folder a cell, a table, and one report. A cell that fails is said, and the others
are run all the same.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.errors import RequestError
from policy_distill.run.suite.cells import Backend, SuiteCell
from policy_distill.run.suite.ending import conclude
from policy_distill.run.suite.local import LocalBackend
from policy_distill.run.suite.standings import COLUMNS
from policy_distill.run.suite.suite import run_cells
from policy_distill.system.lock import FolderLock

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
    "transfer",
    "regularisation",
    "transfer_table",
    "calibration",
    "gravity_experts",
    "gravity_experts_table",
    "gravity_training",
    "objectives",
    "noisy_teacher",
    "finetuning",
    "finetuning_table",
    "generalisation",
    "generalisation_table",
    "many_tasks",
    "many_tasks_table",
    "simulations",
    "seed_simulations",
    "simulated_returns",
    "picture",
    "gallery",
    "networks_drawn",
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


def names_of_experiments() -> list[str]:
    """Return the names of all experiments."""
    return sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem not in NOT_EXPERIMENTS)


def main(suite: Suite) -> int:
    """Run what is left of the suite; return 1 where a cell failed or left what cannot be read."""
    # Cells run in the root of the repository, which need not be where this was started.
    suite = replace(suite, out=suite.out.resolve(), zoo=suite.zoo.resolve() if suite.zoo else None)
    cells = _cells(suite)
    suite.out.mkdir(parents=True, exist_ok=True)
    with closing(FolderLock(suite.out)):
        # What fails here fails again: these commands go on by themselves.
        outcomes = run_cells(cells, backend_of(suite), suite.out, retries=0, say=_say)
        result = conclude(suite.out, outcomes, suite.track)
    if result.report is None:
        raise RequestError(f"no cell of the suite came to an end; their logs are in {suite.out}")
    print(f"\n{table(result.rows, COLUMNS)}\n\n{result.report}")
    if result.failed:
        print(table([(one.cell.name, "failed") for one in result.failed]), file=sys.stderr)
    # The report has said which cannot be read, and why.
    return 0 if result.ok else 1


def backend_of(suite: Suite) -> Backend:
    """Return where cells run."""
    return LocalBackend(max(suite.jobs, 1))


def _cells(suite: Suite) -> list[SuiteCell]:
    """Return teachers that are to be trained, and students, each after its teacher: all of them need the same one."""
    found = []
    for name in _chosen(suite.envs):
        teacher = _teacher(suite, name)
        trained = _teacher_cell(suite, name, teacher)
        found += [trained] if trained else []
        found += [
            _student_cell(suite, name, student, seed, teacher, (trained.name,) if trained else ())
            for student in suite.students or ("",)
            for seed in _seeds(suite.seeds)
        ]
    return found


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


def _teacher_cell(suite: Suite, name: str, path: Path) -> SuiteCell | None:
    if path.suffix != ".zip":
        return None
    words = [*_script(suite, name), "--out", str(path.parent), "--seeds", *suite.options.split()]
    return _cell(f"{name} teacher", path.parent, words, (), product=path.name)


def _student_cell(suite: Suite, name: str, student: str, seed: int, teacher: Path, after: tuple[str, ...]) -> SuiteCell:
    folder = suite.out / name / (student.replace(":", "-").replace(",", "-") or "student")
    words = [*_script(suite, name), "--teacher", str(teacher), "--out", str(folder), "--seeds", str(seed), "--resume"]
    words += ["--student", student] if student else []
    words += ["--perturb"] if suite.perturb and seed == _seeds(suite.seeds)[0] else []
    label = f"{name} {student}".strip()
    return _cell(f"{label} seed {seed}", folder / f"seed-{seed}", [*words, *suite.options.split()], after)


def _cell(
    name: str, folder: Path, words: list[str], after: tuple[str, ...], product: str = "evaluation.json"
) -> SuiteCell:
    return SuiteCell(name, folder, tuple(words), after, product=product, own_folder=False, cwd=SCRIPTS.parent)


def _script(suite: Suite, name: str) -> list[str]:
    group = suite.out.resolve().name
    return [sys.executable, "-m", f"experiments.{name}", "--track", suite.track, "--group", group]


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    settings = tyro.cli(Suite, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
