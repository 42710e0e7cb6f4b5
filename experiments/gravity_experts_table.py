"""The section Gravity experts of RESULTS.md, from the returns of `experiments.gravity_experts`.

In: returns of experts, students and a random policy under each gravity. Out: rows, and the section.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from experiments.generalisation_table import standing
from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds

SECTION = "## Gravity experts"
"""Heading of the section that is written anew; what comes before and after it stays."""
KINDS = {"student": "distilled", "tuned": "tuned"}
"""Of students, by the first word of their names among returns, and what they are called in the tables."""


@dataclass(frozen=True)
class UnderGravity:
    """What everybody returns under one gravity, episode by episode."""

    gravity: float
    returns: Mapping[str, Sequence[float]]
    """`teacher` (dispatched), `random`, experts such as `expert -6`, and students such as `student 0` and `tuned 0`."""
    first_seed: int
    """Episode i started from reset(seed=first_seed + i)."""

    def mean(self, who: str) -> float:
        """Return a mean return."""
        return float(np.mean(self.returns[who]))

    def names(self, kind: str) -> list[str]:
        """Return who is of a kind: `expert`, `student` or `tuned`."""
        return [who for who in self.returns if who.partition(" ")[0] == kind]

    @property
    def best(self) -> str:
        """The expert that returns most here, on these very episodes."""
        return max(self.names("expert"), key=self.mean)

    def kept_of(self, who: str, kind: str) -> AcrossSeeds:
        """Return what students of a kind keep of the gain of `who` over a random policy."""
        whole, random = (np.array(self.returns[name]) for name in (who, "random"))
        pairs = [PairedReturns(np.array(self.returns[n]), whole, random, self.first_seed) for n in self.names(kind)]
        return across_seeds([SeedGroup(f"gravity {self.gravity:g}", tuple(pairs))])

    def more_than(self, who: str, kind: str) -> tuple[float, float]:
        """Return by how much students of a kind return more than `who`, and half the width of its 95% interval.

        Half-widths over training seeds and over episodes, each with Student's t, add as squares.
        """
        gaps = np.array([self.returns[name] for name in self.names(kind)]) - np.array(self.returns[who])
        return float(gaps.mean()), math.hypot(_half(gaps.mean(axis=1)), _half(gaps.mean(axis=0)))


def _half(means: np.ndarray) -> float:
    return float(t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else 0.0


def best_of_all(found: Sequence[UnderGravity]) -> str:
    """Return the one expert that returns most under all gravities together."""
    return max(found[0].names("expert"), key=lambda who: sum(one.mean(who) for one in found))


def returns_of(found: Sequence[UnderGravity]) -> list[tuple[str, ...]]:
    """Return a row of mean returns for each gravity."""
    rows = []
    for one in found:
        means = [one.mean(who) for who in (*one.names("expert"), "teacher", "random")]
        means += [float(np.mean([one.mean(who) for who in one.names(kind)])) for kind in KINDS]
        rows.append((f"{one.gravity:g}", *(f"{mean:.1f}" for mean in means), one.best.partition(" ")[2]))
    return rows


def shares_of(found: Sequence[UnderGravity]) -> list[tuple[str, ...]]:
    """Return a row for each gravity and each kind of student: how they stand beside experts."""
    single, rows = best_of_all(found), []
    for one in found:
        for kind, words in KINDS.items():
            gap, half = one.more_than(one.best, kind)
            kept = [one.kept_of(who, kind) for who in ("teacher", one.best, single)]
            cells = [f"{each.text()} {standing(each)}".rstrip() for each in kept]
            rows.append((f"{one.gravity:g}", words, f"{gap:+.1f} [{gap - half:+.1f}, {gap + half:+.1f}]", *cells))
    return rows


def reached(found: Sequence[UnderGravity]) -> str:
    """Return in words under how many gravities students return as much as the best expert there."""
    lines = []
    for kind, words in KINDS.items():
        gaps = [one.more_than(one.best, kind) for one in found]
        least, above, below = (
            sum(fits) for fits in zip(*((gap >= 0, gap - half > 0, gap + half < 0) for gap, half in gaps), strict=True)
        )
        lines.append(
            f"Beside the best expert there, the mean of the {words} students is at least as high under {least} of "
            f"{len(found)} gravities; all of its interval is higher under {above}, and lower under {below}."
        )
    tuned = found[0].names("tuned")
    same = sum(
        all(one.returns[name] == one.returns[name.replace("tuned", "student")] for one in found) for name in tuned
    )
    lines.append(f"{same} of {len(tuned)} tuned students are the distilled ones: there no gain by reward was proven.")
    return "\n".join(lines)


def markdown(found: Sequence[UnderGravity], student: str, steps: tuple[int, int, int], n_episodes: int) -> str:
    """Return the section of RESULTS.md; `steps` are those of an expert, a distillation and the tuning after it."""
    experts = [f"expert of {who.partition(' ')[2]}" for who in found[0].names("expert")]
    returns = ("gravity", *experts, "dispatched", "random", *KINDS.values(), "best expert here")
    shares = (
        *("gravity", "students", "more than the best expert here [95%]", "share of the dispatched gain [95%]"),
        *("share of the best's gain [95%]", f"share of that of {best_of_all(found).partition(' ')[2]} [95%]"),
    )
    of_experts, of_students, of_tuning = (f"{n:,}" for n in steps)
    lines = [
        SECTION,
        "",
        "Made by `python -m experiments.gravity_experts`; no figure is written by hand. LunarLander-v3 under a",
        "gravity that each episode draws. An expert begins as the best of the RL Zoo's PPO agent and the experts",
        f"before it, and goes on for {of_experts} steps under its gravity alone; it is kept as it was at its best in",
        f"looks there. Distilled students (`{student}`, {of_students} steps) were taught by the expert of each",
        "episode's gravity (`--combine dispatch:expert`), and do not see gravity; tuned ones went on by reward under",
        f"gravities as they come, for {of_tuning} steps (`finetune`, without a teacher). Mean returns of {n_episodes}",
        f"episodes that all share and that chose nobody, of {len(found[0].names('student'))} training seeds of the",
        "students. The best expert is the best on these very episodes, which flatters it.",
        "",
        *_table(returns, returns_of(found)),
        "",
        "Shares above 1 beat the expert; that of the last column is the best over all gravities together. Intervals of",
        "differences are over training seeds and episodes.",
        "",
        *_table(shares, shares_of(found)),
        "",
        reached(found),
    ]
    return "\n".join(lines) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {' | '.join(row)} |" for row in rows)]
