"""The section Gravity experts of RESULTS.md, from the returns of `experiments.gravity_experts`.

In: returns of experts, students and a random policy under each gravity. Out: rows, and the section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.generalisation_table import standing
from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds

SECTION = "## Gravity experts"
"""Heading of the section that is written anew; what comes before and after it stays."""


@dataclass(frozen=True)
class UnderGravity:
    """What everybody returns under one gravity, episode by episode."""

    gravity: float
    returns: Mapping[str, Sequence[float]]
    """`teacher` (dispatched), `random`, experts such as `expert -6.0`, and students such as `student 0`."""
    first_seed: int
    """Episode i started from reset(seed=first_seed + i)."""

    def mean(self, who: str) -> float:
        """Return a mean return."""
        return float(np.mean(self.returns[who]))

    def names(self, kind: str) -> list[str]:
        """Return who is of a kind: `expert` or `student`."""
        return [who for who in self.returns if who.partition(" ")[0] == kind]

    @property
    def best(self) -> str:
        """The expert that returns most here, on these very episodes."""
        return max(self.names("expert"), key=self.mean)

    def kept_of(self, who: str) -> AcrossSeeds:
        """Return what the students keep of the gain of `who` over a random policy."""
        whole, random = (np.array(self.returns[name]) for name in (who, "random"))
        pairs = [
            PairedReturns(np.array(self.returns[n]), whole, random, self.first_seed) for n in self.names("student")
        ]
        return across_seeds([SeedGroup(f"gravity {self.gravity:g}", tuple(pairs))])


def best_of_all(found: Sequence[UnderGravity]) -> str:
    """Return the one expert that returns most under all gravities together."""
    return max(found[0].names("expert"), key=lambda who: sum(one.mean(who) for one in found))


def rows_of(found: Sequence[UnderGravity]) -> list[tuple[str, ...]]:
    """Return a row for each gravity."""
    single, rows = best_of_all(found), []
    for one in found:
        students = float(np.mean([one.mean(who) for who in one.names("student")]))
        means = [f"{one.mean(who):.1f}" for who in (*one.names("expert"), "teacher", "random")]
        kept = [one.kept_of(who) for who in ("teacher", one.best, single)]
        cells = [f"{each.text()} {standing(each)}".rstrip() for each in kept]
        rows.append((f"{one.gravity:g}", *means, f"{students:.1f}", one.best.partition(" ")[2], *cells))
    return rows


def reached(found: Sequence[UnderGravity]) -> str:
    """Return in words under how many gravities the students return as much as the best expert there, and as theirs."""
    lines = []
    for name, of in (
        ("the best expert there", lambda one: one.best),
        ("the expert that taught them", lambda _: "teacher"),
    ):
        kept = [one.kept_of(of(one)) for one in found]
        at_least, below = (sum(fits) for fits in ([k.mean >= 1.0 for k in kept], [k.high < 1.0 for k in kept]))
        lines.append(
            f"Beside {name}, the students' mean is at least as high under {at_least} of {len(found)} gravities, and "
            f"all of its interval or range is lower under {below}."
        )
    return "\n".join(lines)


def markdown(found: Sequence[UnderGravity], student: str, expert_steps: int, timesteps: int, n_episodes: int) -> str:
    """Return the section of RESULTS.md."""
    experts = [f"expert of {who.partition(' ')[2]}" for who in found[0].names("expert")]
    header = ("gravity", *experts, "dispatched", "random", "students", "best expert here")
    header += (
        "share of the dispatched gain [95%]",
        "share of the best's gain [95%]",
        f"share of that of {best_of_all(found).partition(' ')[2]} [95%]",
    )
    lines = [
        SECTION,
        "",
        "Made by `python -m experiments.gravity_experts`; no figure is written by hand. LunarLander-v3 under a gravity",
        f"that each episode draws. An expert is the RL Zoo's PPO agent after up to {expert_steps:,} further steps",
        "under its gravity alone, as it was at its best in nine looks there, the first of them at the agent itself.",
        f"Students (`{student}`, {timesteps:,} steps) were taught by the expert of each episode's gravity",
        f"(`--combine dispatch:expert`), and do not see gravity. Mean returns of {n_episodes} episodes that all share,",
        f"of {len(found[0].names('student'))} training seeds of the students; shares above 1 beat the expert.",
        "The best expert is the best on these very episodes, which flatters it. The last column is the one expert",
        "that is best over all gravities together.",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows_of(found)),
        "",
        reached(found),
    ]
    return "\n".join(lines) + "\n"
