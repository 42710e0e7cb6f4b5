"""Simulated training seeds whose truth is known: how often the interval of their mean retention covers it.

In: how training seeds and episodes vary. Out: groups of proofs, and the rows of a table of `experiments.calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds

SIZES = ((1, 3), (1, 5), (9, 3))
"""Environments and training seeds of each."""

TRUTH = 0.97

# Standard deviations in gains: between training seeds, of an episode's luck that teacher and student share, of student
# and teacher alone on it, of the random policy; then how often a student falls, what a fall costs, and whether the same
# episodes fell all training seeds.
WORLDS: dict[str, dict[str, Any]] = {
    "the seeds differ most": {"seed": 0.05, "luck": 0.05, "student": 0.05, "teacher": 0.02},
    "both parts count": {"seed": 0.02, "luck": 0.1, "student": 0.2, "teacher": 0.2},
    "the seeds are alike": {"luck": 0.1, "student": 0.3},
    "one teacher's luck is all students' luck": {
        "seed": 0.005,
        "luck": 0.1,
        "student": 0.1,
        "teacher": 0.3,
        "random": 0.3,
    },
    "the returns spread as widely as the gain": {
        "seed": 0.03,
        "luck": 0.5,
        "student": 0.5,
        "teacher": 0.5,
        "random": 0.3,
    },
}
FALLS: dict[str, dict[str, Any]] = {
    "5% of the episodes lose the gain": {"falls": 0.05},
    "2% of the episodes lose the gain": {"falls": 0.02},
    "3% of the episodes lose 1.7 gains": {"falls": 0.03, "cost": 1.7},
    "3% of the episodes are too hard for most seeds": {"falls": 0.03, "hard": True},
    "2% of the episodes lose the gain and the rest spread": {"falls": 0.02, "seed": 0.02, "luck": 0.1, "student": 0.1},
}


def world(
    rng: np.random.Generator,
    n_seeds: int,
    n_episodes: int,
    *,
    seed: float = 0.0,
    luck: float = 0.0,
    student: float = 0.01,
    teacher: float = 0.0,
    random: float = 0.02,
    falls: float = 0.0,
    cost: float = 1.0,
    hard: bool = False,
    truth: float = TRUTH,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the returns, in gains, of all training seeds `[n_seeds, n_episodes]`, of teacher and random policy."""
    shared = luck * rng.normal(size=n_episodes)
    of_teacher = 1 + shared + teacher * rng.normal(size=n_episodes)
    of_student = truth + falls * cost + seed * rng.normal(size=(n_seeds, 1)) + shared
    of_student = of_student + student * rng.normal(size=(n_seeds, n_episodes))
    rate = 0.8 if hard else falls
    fallen = rng.random((n_seeds, n_episodes)) < rate
    if hard:
        fallen &= rng.random(n_episodes) < falls / rate
    return of_student - cost * fallen, of_teacher, random * rng.normal(size=n_episodes)


def group(
    returns: tuple[np.ndarray, np.ndarray, np.ndarray], env: str = "Lander-v3", first_seeds: Sequence[int] = ()
) -> SeedGroup:
    """Return the proofs of all training seeds, on the same episodes or from `first_seeds` on."""
    students, teacher, random = returns
    firsts = first_seeds or [0] * len(students)
    runs = [PairedReturns(one, teacher, random, first) for one, first in zip(students, firsts, strict=True)]
    return SeedGroup(env, tuple(runs))


def simulated(
    n_envs: int,
    n_seeds: int,
    n_trials: int,
    n_episodes: int = 100,
    rng: np.random.Generator | None = None,
    **settings: Any,
) -> list[list[SeedGroup]]:
    """Return, for each trial, the proofs in each environment."""
    rng = rng or np.random.default_rng(0)
    return [
        [group(world(rng, n_seeds, n_episodes, **settings), f"env {i}") for i in range(n_envs)] for _ in range(n_trials)
    ]


def share_covered(found: list[AcrossSeeds], truth: float = TRUTH) -> tuple[float, int]:
    """Return how many of the intervals hold the true value, and how many there are; ranges claim nothing."""
    shown = [one for one in found if one.kind == "interval"]
    return float(np.mean([one.low <= truth <= one.high for one in shown])) if shown else math.nan, len(shown)


def runs_drawn_anew(groups: list[SeedGroup], rng: np.random.Generator, n_resamples: int = 500) -> tuple[float, float]:
    """Return the percentile interval that draws the runs of each environment and nothing else."""
    scores = [np.array([run.kept for run in one.runs]) for one in groups]
    drawn = [runs[rng.integers(len(runs), size=(n_resamples, len(runs)))].mean(axis=1) for runs in scores]
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    return float(low), float(high)


def coverage_rows(
    n_trials: int, rng: np.random.Generator, sizes: Sequence[tuple[int, int]] = SIZES
) -> Iterator[tuple[str, ...]]:
    """Yield, for each world, what the intervals cover, how many are given as ranges, and what drawing runs covers."""
    for name, settings in {**WORLDS, **FALLS}.items():
        cells = []
        for n_envs, n_seeds in sizes:
            trials = simulated(n_envs, n_seeds, n_trials, rng=rng, **settings)
            covered, n = share_covered([across_seeds(groups) for groups in trials])
            bounds = [runs_drawn_anew(groups, rng) for groups in trials]
            drawn = np.mean([low <= TRUTH <= high for low, high in bounds])
            kept = f"{covered:.0%}" if n else "-"
            cells.append(f"{kept} ({1 - n / n_trials:.0%} ranges; {drawn:.0%})")
        yield (name, *cells)
