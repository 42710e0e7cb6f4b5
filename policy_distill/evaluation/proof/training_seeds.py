"""What students of several training seeds keep of their teachers, with an interval.

In: the episodes that each training seed was proven on. Out: an `AcrossSeeds`. The training seeds of an environment
share episodes with each other and with the teacher, so the spread between seeds and that between shared episodes both
count, as in the crossed random effects of Owen 2007 (Ann. Appl. Stat. 1(2), "The pigeonhole bootstrap"). Drawing the
runs anew, as the stratified bootstrap of Agarwal et al. 2021 (arXiv 2108.13264) does, sees the first alone, and of
three runs too little of it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.scale import least_gain
from policy_distill.evaluation.statistics import iqm, json_number

UNSEEN = 3.0
"""Falls that none of N episodes showed can be as frequent as 3 / N (95%, one-sided: -log 0.05 = 3)."""

CLEAR_GAIN = 3.0
"""Normal score up to which the ratio does not behave as its first-order expansion, on which intervals rest."""

Kind = Literal["interval", "range", "none", "undefined"]


@dataclass(frozen=True)
class SeedGroup:
    """All training seeds of one student in one environment."""

    env: str
    """Whose episodes they are: where the environment and an episode's seed are the same, so is the episode."""
    runs: tuple[PairedReturns, ...]
    """One or more."""


@dataclass(frozen=True)
class AcrossSeeds:
    """The mean retention over training seeds, in one group or the mean of several."""

    mean: float
    """Mean over the groups of the mean over their runs; NaN where it is undefined."""
    kind: Kind
    """What `low` and `high` are: a 95% `interval` for new training seeds and episodes; where that would claim too much,
    the `range` from the mean of the lowest runs to that of the highest; `none` for a single training seed;
    `undefined` where the teacher's gain over random is not clear."""
    low: float
    """NaN where `kind` is none or undefined."""
    high: float
    iqm: float
    """Interquartile mean over all runs of their retention by interquartile means: rare falls do not show in it."""
    n_runs: int
    """Runs in all."""
    n_groups: int
    """Cells."""
    n_undefined: int
    """Cells that were left out: a ratio to a gain that is not there ranks nowhere."""

    def text(self, digits: int = 3) -> str:
        """Return the mean with its interval, or with the range, named as such."""
        if self.kind == "undefined":
            return "undefined"
        mean, low, high = (f"{x:.{digits}f}" for x in (self.mean, self.low, self.high))
        return mean + {"interval": f" [{low}, {high}]", "range": f", range {low} to {high}"}.get(self.kind, "")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; NaN becomes null."""
        return {name: json_number(x) if isinstance(x, float) else x for name, x in vars(self).items()}


def across_seeds(groups: Sequence[SeedGroup]) -> AcrossSeeds:
    """Return the mean retention over groups and training seeds, with a 95% interval where the runs give one.

    Episodes that several runs share are crossed with the training seeds; those of one run alone are nested in it. The
    half-widths of both parts, each with Student's t, add as squares (Zou and Donner 2008, Stat. Med. 27(10)): exact
    where one part prevails, and never too narrow for what both contain. An interval narrower than what falls that no
    episode showed could cost, one gain each, is given as the range of the runs.

    Proofs end when their verdict is clear, the lucky ones early. So that luck is not averaged in, every run counts with
    its first episodes alone, as many as the shortest has.

    Raises:
        ValueError: without a group, or with one that has no run.
    """
    if not groups or not all(group.runs for group in groups):
        raise ValueError("expected at least one run in each of one or more groups")
    shortest = min(len(run.student) for group in groups for run in group.runs)
    groups = [SeedGroup(group.env, tuple(run.first(shortest) for run in group.runs)) for group in groups]
    known = [group for group in groups if all(run.gain_score > least_gain() for run in group.runs)]
    n_undefined = len(groups) - len(known)
    if not known:
        return AcrossSeeds(math.nan, "undefined", math.nan, math.nan, math.nan, 0, 0, n_undefined)
    kept = [np.array([run.kept for run in group.runs]) for group in known]
    mean = float(np.mean([runs.mean() for runs in kept]))
    iqms = np.array([run.iqm_kept for group in known for run in group.runs])
    clear = all(run.gain_score > CLEAR_GAIN for group in known for run in group.runs)
    half = _half_width(known, kept) if clear else math.nan
    found = range_over(kept, float(iqm(iqms)), n_undefined)
    return found if math.isnan(half) else replace(found, kind="interval", low=mean - half, high=mean + half)


def range_over(kept: Sequence[np.ndarray], iqm_kept: float, n_undefined: int = 0) -> AcrossSeeds:
    """Return what retentions alone say, `[n_runs]` for each group: without episodes, their spread is not known."""
    single = all(len(runs) == 1 for runs in kept)
    low, high = (math.nan if single else float(np.mean([end(runs) for runs in kept])) for end in (np.min, np.max))
    mean, n_runs = float(np.mean([runs.mean() for runs in kept])), sum(map(len, kept))
    return AcrossSeeds(mean, "none" if single else "range", low, high, iqm_kept, n_runs, len(kept), n_undefined)


def _half_width(groups: list[SeedGroup], kept: list[np.ndarray]) -> float:
    """Return half the width of the 95% interval of the mean; NaN where there is none."""
    if any(len(runs) == 1 for runs in kept):
        return math.nan
    seeds = [(float(runs.var(ddof=1)) / len(runs) / len(groups) ** 2, len(runs) - 1) for runs in kept]
    episodes, effective = _between_episodes(groups, kept)
    half = math.hypot(_student(seeds), _student(episodes))
    return half if half >= UNSEEN / effective else math.nan


def _student(parts: list[tuple[float, int]]) -> float:
    """Return the half-width for a sum of variances with their degrees of freedom (Satterthwaite 1946)."""
    from scipy.special import stdtrit

    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return 0.0
    freedom = variance**2 / sum(part**2 / n for part, n in parts)
    return float(stdtrit(freedom, 0.975)) * math.sqrt(variance)


def _between_episodes(groups: list[SeedGroup], kept: list[np.ndarray]) -> tuple[list[tuple[float, int]], float]:
    """Return the variance by each environment's shared episodes, and how many episodes the mean comes from.

    Episodes of one run alone add none: the spread between the runs contains theirs.
    """
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for group, runs in zip(groups, kept, strict=True):
        for run in group.runs:
            n = len(run.student)
            weights = np.full(n, 1 / (len(groups) * len(group.runs) * n))
            losses = weights * run.losses(float(runs.mean()))
            found[group.env].append(np.stack([run.first_seed + np.arange(n), losses, weights]))
    parts, squares = [], 0.0
    for one in found.values():
        seeds, losses, weights = np.concatenate(one, axis=1)
        _, place, count = np.unique(seeds, return_inverse=True, return_counts=True)
        sums = np.bincount(place, losses)[count > 1]
        squares += float((np.bincount(place, weights) ** 2).sum())
        if len(sums) > 1:
            parts.append((len(sums) * float(sums.var(ddof=1)), len(sums) - 1))
    return parts, 1 / squares
