"""Strangers' agents and layouts, tried one after the other: `python -m tests.strangers`.

Every agent below the folder that POLICY_DISTILL_ZOO names, and every layout of `tests/layouts.py`. It prints what was
tried, what came and what was expected, and ends with 1 where one differs.
"""

import argparse
import os
import pickle
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from policy_distill.commands.showing.output import table
from policy_distill.environments.open import open_environments
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.teachers.algorithms import ALGORITHMS
from policy_distill.teachers.files.gym_names import gym_names
from policy_distill.teachers.files.zip_file import find_zip
from policy_distill.teachers.files.zoo_config import environment_of
from policy_distill.teachers.load import load_teacher
from policy_distill.teachers.saved import FOR_TRAINING
from tests.layouts import LAYOUTS, NORMALISED, RAW

TOLERANCE = 1e-4
"""By how much an action may differ from Stable-Baselines3's own."""
DEVIATIONS = 4.0
"""Standard errors by which a mean return may differ from the known one."""
NUMBER = r"(-?[\d.,]+) ± ([\d.,]+)"


class Row(NamedTuple):
    """One line of the table."""

    tried: str
    came: str
    expected: str
    right: bool


def known_returns(zoo: Path) -> dict[str, tuple[str, float, float]]:
    """Return environment, mean and deviation of the return by folder, from the table in the zoo's README."""
    found = {}
    text = (zoo / "README.md").read_text() if (zoo / "README.md").exists() else ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        number = next((match for cell in cells[2:] if (match := re.match(NUMBER, cell))), None)
        if number and (zoo / cells[0]).is_dir():
            mean, deviation = (float(part.replace(",", "")) for part in number.groups())
            found[cells[0]] = (cells[1], mean, deviation)
    return found


def sb3_actions(path: Path, algorithm: str, obs: np.ndarray) -> np.ndarray:
    """Return what Stable-Baselines3 itself does on raw observations, with the statistics beside a zip."""
    known, statistics = ALGORITHMS[algorithm], path.with_name("vecnormalize.pkl")
    with warnings.catch_warnings(), gym_names():
        warnings.simplefilter("ignore")
        cls = getattr(import_module(known.package), known.cls)
        model = cls.load(path, device="cpu", custom_objects=FOR_TRAINING)
        if statistics.exists():
            obs = pickle.loads(statistics.read_bytes()).normalize_obs(obs)
    return np.asarray(model.predict(obs, deterministic=True)[0])


def observations(teacher: Any, env_id: str, count: int = 200) -> np.ndarray:
    """Return observations `[count, ...]` of a teacher that acts from the start."""
    envs = open_environments(env_id, 1, teacher.env_wrappers)
    envs.reset(0, 1)
    seen = []
    for _ in range(count):
        seen.append(envs.obs[0].copy())
        _, terminated, truncated = envs.step(teacher.predict(envs.obs, deterministic=True)[0])
        if terminated[0] or truncated[0]:
            envs.reset(0, len(seen))
    envs.close()
    return np.stack(seen)


def agent_rows(folder: Path, known: tuple[str, float, float] | None, n_episodes: int) -> Iterator[Row]:
    """Yield what one agent comes to: its actions against SB3's, its return against the known one."""
    acts = f"acts as Stable-Baselines3 within {TOLERANCE:g}"
    try:
        path = find_zip(folder)
        teacher = load_teacher(path)
        env_id = known[0] if known else environment_of(path)
        obs = observations(teacher, env_id)
        expected = sb3_actions(path, teacher.provenance["algorithm"], obs)
        difference = float(np.abs(teacher.predict(obs, deterministic=True)[0] - expected).max())
        yield Row(folder.name, f"differs by {difference:.1g}", acts, difference <= TOLERANCE)
        if known:
            _, mean, deviation = known
            found = evaluate(teacher, env_id, n_episodes, seed=1000).mean
            most = DEVIATIONS * deviation / n_episodes**0.5
            near = f"{mean:,.1f} ± {most:,.1f}"
            yield Row(f"{folder.name} in {env_id}", f"return {found:,.1f}", near, abs(found - mean) <= most + 1e-9)
    except Exception as error:
        yield Row(folder.name, f"{type(error).__name__}: {error}", acts, False)


def rows(zoo: Path | None, n_episodes: int) -> Iterator[Row]:
    """Yield all rows, layouts first."""
    for layout in LAYOUTS:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            came = layout.outcome(Path(folder)).replace(folder, "…")
        expected = layout.expected if layout.expected in (NORMALISED, RAW) else f"refused: {layout.expected}"
        yield Row(layout.name, came, expected, layout.holds(came))
    known = known_returns(zoo) if zoo else {}
    for folder in sorted({path.parent for path in zoo.rglob("*.zip")}) if zoo else ():
        yield from agent_rows(folder, known.get(folder.name), n_episodes)


def main(arguments: list[str] | None = None) -> int:
    """Try everything; return 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=5, help="of each agent whose return is known")
    asked = parser.parse_args(arguments)
    zoo = os.environ.get("POLICY_DISTILL_ZOO")
    found = list(rows(Path(zoo) if zoo else None, asked.episodes))
    lines = [(row.tried, row.came[:100], row.expected, "" if row.right else "DIFFERS") for row in found]
    print(table(lines, ("tried", "came", "expected", "")))
    wrong = sum(not row.right for row in found)
    agents = "" if zoo else " (no agents: POLICY_DISTILL_ZOO names no folder)"
    print(f"\n{len(found)} tried, {wrong} not as expected{agents}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
