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
        own = [np.array(self.returns[who]) for who in self.of(method)]
        name = f"{self.env_id} {self.world}"
        return SeedGroup(name, tuple(PairedReturns(one, teacher, random, self.first_seed) for one in own))

    def beside(self, method: str, other: str) -> SeedGroup:
        """Return what a method's students return more than another's of the same training seeds, above random."""
        pairs = [(self.returns[who], self.returns.get(f"{other} {who.partition(' ')[2]}")) for who in self.of(method)]
        teacher, random = (np.array(self.returns[who]) for who in ("teacher", "random"))
        more = [random + np.array(one) - np.array(beside) for one, beside in pairs if beside is not None]
        runs = tuple(PairedReturns(one, teacher, random, self.first_seed) for one in more)
        return SeedGroup(f"{self.env_id} {self.world}", runs)

    def of(self, method: str) -> list[str]:
        """Return the names of a method's students."""
        return [who for who in self.returns if who.partition(" ")[0] == method]


def standing(kept: AcrossSeeds) -> str:
    """Return in a word how a student stands beside its teacher, where the interval says so."""
    if kept.kind != "interval":
        return ""
    return "better" if kept.low > 1.0 else "worse" if kept.high < 1.0 else ""


def section_for(methods: Sequence[str]) -> str:
    """Return the heading of the section that compares some methods."""
    return SECTION if tuple(methods) == METHODS else f"## What widens what a student can bear: {', '.join(methods)}"


def kept_by(found: Sequence[Found], method: str) -> AcrossSeeds | None:
    """Return what the students of a method keep in some worlds; None where none was made."""
    groups = [one.group(method) for one in found]
    groups = [group for group in groups if group.runs]
    return across_seeds(groups) if groups else None


def rows_of(found: Sequence[Found], methods: Sequence[str] = METHODS) -> list[tuple[str, ...]]:
    """Return a row for each world: the teacher's return, and what the students of each method keep of its gain."""
    rows = []
    for one in found:
        kept = [kept_by([one], method) for method in methods]
        cells = ["" if each is None else f"{each.text()} {standing(each)}".rstrip() for each in kept]
        rows.append((one.env_id, one.student, one.world, f"{np.mean(one.returns['teacher']):.1f}", *cells))
    return rows


def totals_of(found: Sequence[Found], methods: Sequence[str] = METHODS) -> list[str]:
    """Return the mean over all worlds but those as they are, of each method, in words."""
    off = [one for one in found if one.world != "none"]
    together = {method: kept_by(off, method) for method in methods}
    return [f"{method}: {kept.text()} over {kept.n_groups} worlds" for method, kept in together.items() if kept]


def counts_of(found: Sequence[Found], methods: Sequence[str] = METHODS) -> list[str]:
    """Return for each method in how many worlds off the training distribution it stands where, in words."""
    off = [one for one in found if one.world != "none"]
    lines = []
    for method in methods:
        kept = [one for each in off if (one := kept_by([each], method)) is not None]
        stood = [standing(one) for one in kept]
        lines.append(f"{method}: better in {stood.count('better')}, worse in {stood.count('worse')} of {len(kept)}")
    return lines


def differences_of(found: Sequence[Found], methods: Sequence[str]) -> list[str]:
    """Return in words what each method keeps more than the first, in the mean over the worlds that both have."""
    first, *others = methods
    lines = []
    for method in others:
        groups = [one.beside(method, first) for one in found if one.world != "none"]
        groups = [group for group in groups if group.runs]
        if groups:
            more = across_seeds(groups)
            lines.append(f"{method}: {more.text()} over {more.n_groups} worlds")
    return lines


MEANT = {
    "plain": "",
    "perturbed": "`perturbed` had states of obs-noise:0.1, sticky:0.25 and delay:1 too",
    "ensemble": "`ensemble` had five plain students as one teacher (which took five times as many steps before)",
    "noisy": "`noisy` had states with obs-noise:0.1 too, labelled as the teacher sees them",
    "smoothed": "`smoothed` matched both distributions at a temperature of 3, where actions are choices (where they are"
    " numbers it would widen the Gaussians of both alike and move no mean: there is nothing to smooth, and the cell is"
    " empty)",
}
"""What is said of each method."""


def others_of(methods: Sequence[str]) -> str:
    """Return the options of the command line that ask for other methods."""
    return "" if tuple(methods) == METHODS else f" --method {' '.join(methods)}"


def markdown(
    found: Sequence[Found], tasks: str, timesteps: int, n_episodes: int, methods: Sequence[str] = METHODS
) -> str:
    """Return the section of RESULTS.md."""
    header = ("environment", "student", "world", "teacher's return", *methods)
    meant = "; ".join(MEANT[method] for method in methods if MEANT.get(method))
    own = tuple(methods) != METHODS
    numbers = f" --timesteps {timesteps} --episodes {n_episodes}" if own else ""
    lines = [
        section_for(methods),
        "",
        f"Made by `python -m experiments.generalisation --task {tasks}{others_of(methods)}{numbers}`;",
        "no figure is written by hand. Does a student beat its teacher where neither was trained? Shares of the",
        f"teacher's gain over a random policy that students of three training seeds keep, on {n_episodes} episodes",
        "that all share, with 95% intervals for new seeds and episodes; above 1 a student is better.",
        f"All had {timesteps:,} steps. {meant}.",
        "A word stands where the whole interval lies on one side of 1; where seeds",
        "agree so closely that an interval would claim too much, their range stands in its place. The world `none` is",
        "the environment as it is.",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows_of(found, methods)),
        "",
        f"Over all but `none`: {'; '.join(totals_of(found, methods))}. Of single worlds: "
        f"{'; '.join(counts_of(found, methods))}.",
        *(
            [
                "",
                f"More than {methods[0]}, on the same seeds and episodes: {'; '.join(differences_of(found, methods))}.",
            ]
            if own
            else []
        ),
    ]
    return "\n".join(lines) + "\n"
