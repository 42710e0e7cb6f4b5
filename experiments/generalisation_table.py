"""The section Generalisation of RESULTS.md, from the returns of `experiments.generalisation`.

In: returns of teacher, random policy and students on the same episodes. Out: rows, and the section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds

SECTION = "## Generalisation"
"""Heading of the section that is written anew; what comes before and after it stays."""
METHODS = ("plain", "perturbed", "ensemble")


@dataclass(frozen=True)
class Found:
    """What everybody scored in one world."""

    env_id: str
    student: str
    """The network of all students."""
    world: str
    """A condition, other physics, or `none`."""
    returns: dict[str, list[float]]
    """`teacher`, `random`, and students such as `plain 0`, a method and a training seed."""
    first_seed: int
    """Episode i started from reset(seed=first_seed + i)."""

    def group(self, method: str) -> SeedGroup:
        """Return the episodes of all training seeds of a method."""
        teacher, random = (np.array(self.returns[who]) for who in ("teacher", "random"))
        own = [np.array(one) for who, one in self.returns.items() if who.partition(" ")[0] == method]
        name = f"{self.env_id} {self.world}"
        return SeedGroup(name, tuple(PairedReturns(one, teacher, random, self.first_seed) for one in own))


def standing(kept: AcrossSeeds) -> str:
    """Return in a word how a student stands beside its teacher, where the interval says so."""
    if kept.kind != "interval":
        return ""
    return "better" if kept.low > 1.0 else "worse" if kept.high < 1.0 else ""


def rows_of(found: Sequence[Found]) -> list[tuple[str, ...]]:
    """Return a row for each world: the teacher's return, and what the students of each method keep of its gain."""
    rows = []
    for one in found:
        kept = [across_seeds([one.group(method)]) for method in METHODS]
        cells = [f"{each.text()} {standing(each)}".rstrip() for each in kept]
        rows.append((one.env_id, one.student, one.world, f"{np.mean(one.returns['teacher']):.1f}", *cells))
    return rows


def totals_of(found: Sequence[Found]) -> list[str]:
    """Return the mean over all worlds but those as they are, of each method, in words."""
    off = [one for one in found if one.world != "none"]
    together = {method: across_seeds([one.group(method) for one in off]) for method in METHODS}
    return [f"{method}: {kept.text()} over {kept.n_groups} worlds" for method, kept in together.items()]


def counts_of(found: Sequence[Found]) -> list[str]:
    """Return for each method in how many worlds off the training distribution it stands where, in words."""
    off = [one for one in found if one.world != "none"]
    lines = []
    for method in METHODS:
        stood = [standing(across_seeds([one.group(method)])) for one in off]
        lines.append(f"{method}: better in {stood.count('better')}, worse in {stood.count('worse')} of {len(off)}")
    return lines


def markdown(found: Sequence[Found], tasks: str, timesteps: int, n_episodes: int) -> str:
    """Return the section of RESULTS.md."""
    header = ("environment", "student", "world", "teacher's return", *METHODS)
    lines = [
        SECTION,
        "",
        f"Made by `python -m experiments.generalisation --task {tasks}`; no figure is written by hand. Does a",
        "student beat its teacher where neither was trained? Shares of the teacher's gain over a random policy that",
        f"students of three training seeds keep, on {n_episodes} episodes that all share, with 95% intervals for new",
        f"seeds and episodes; above 1 a student is better. All had {timesteps:,} steps. `perturbed` had states of",
        "obs-noise:0.1, sticky:0.25 and delay:1 too; `ensemble` had five plain students as one teacher (which took",
        "five times as many steps before). A word stands where the whole interval lies on one side of 1; where seeds",
        "agree so closely that an interval would claim too much, their range stands in its place. The world `none` is",
        "the environment as it is.",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows_of(found)),
        "",
        f"Over all but `none`: {'; '.join(totals_of(found))}. Of single worlds: {'; '.join(counts_of(found))}.",
    ]
    return "\n".join(lines) + "\n"
