"""The section Fine-tuning of RESULTS.md, from what `experiments.finetuning` measured.

In: returns of each run's students. Out: a table, and a section of RESULTS.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t

SECTION = "## Fine-tuning"
"""Heading of the section that is written anew; what comes before and after it stays."""

HEADER = (
    *("environment", "student", "method", "seed", "before", "after", "teacher", "falls before", "falls after"),
    *("test against its start", "environment steps"),
)


@dataclass(frozen=True)
class Tuned:
    """One student before and after."""

    task: str
    env_id: str
    student: str
    method: str
    seed: int
    returns: Mapping[str, Sequence[float]]
    """Of `teacher`, `random`, `before` and `after`, on the same episodes."""
    record: Mapping[str, Any]
    """The tuned run's `evaluation.json`."""

    def mean(self, who: str) -> float:
        """Return the mean return of one of them."""
        return float(np.mean(self.returns[who]))

    def kept(self, who: str) -> float:
        """Return the share of the teacher's gain over random that one of them has."""
        random = self.mean("random")
        return (self.mean(who) - random) / (self.mean("teacher") - random)

    def falls(self, who: str) -> float:
        """Return the share of episodes that lost more than half of what the teacher gains in the mean."""
        line = 0.5 * (self.mean("teacher") + self.mean("random"))
        return float(np.mean(np.asarray(self.returns[who]) < line))

    @property
    def line(self) -> str:
        """What came of it, for the terminal."""
        before, after = (f"{self.mean(who):.1f} ({self.falls(who):.1%} falls)" for who in ("before", "after"))
        return f"{self.env_id} {self.student} seed {self.seed}: {before} -> {after}, {self.outcome}"

    @property
    def outcome(self) -> str:
        """What the test against its start said."""
        found = self.record["finetuning"]
        return f"{found['outcome']} in {found['n_episodes']} episodes"

    def row(self) -> tuple[str, ...]:
        """Return its row of the table."""
        returns = [f"{self.mean(who):,.1f}" for who in ("before", "after", "teacher")]
        falls = [f"{self.falls(who):.1%}" for who in ("before", "after")]
        steps = f"{self.record['env_steps']:,}"
        return (self.env_id, self.student, self.method, str(self.seed), *returns, *falls, self.outcome, steps)


def gain_text(found: Sequence[Tuned]) -> str:
    """Return what the seeds of a task gained in shares of the teacher's gain, with a 95% t interval over seeds."""
    gains = np.array([one.kept("after") - one.kept("before") for one in found])
    before, after = (np.mean([one.kept(who) for one in found]) for who in ("before", "after"))
    words = f"kept {before:.3f} before and {after:.3f} after; gained {gains.mean():+.3f}"
    if len(gains) < 2:
        return f"{words} (one seed)"
    half = float(t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))
    return f"{words} [{gains.mean() - half:+.3f}, {gains.mean() + half:+.3f}] over {len(gains)} seeds"


def markdown(found: Sequence[Tuned], tasks: Sequence[str], n_episodes: int) -> str:
    """Return the section."""
    lines = [
        SECTION,
        "",
        f"Made by `python -m experiments.finetuning --task {' '.join(tasks)}`; no figure is written by hand.",
        f"Mean returns of students before and after they went on by reward, on {n_episodes} episodes that nothing",
        "was chosen, tested or proven on. A fall lost more than half of what the teacher gains over random in",
        "the mean. The steps are those that were learnt from; choosing and the test play episodes beside.",
        "",
        f"| {' | '.join(HEADER)} |",
        f"|{'---|' * len(HEADER)}",
        *(f"| {' | '.join(one.row())} |" for one in found),
        "",
    ]
    for task in tasks:
        own = [one for one in found if one.task == task]
        what = f"{own[0].env_id}, {own[0].student} by {own[0].method}, shares of the teacher's gain"
        lines += [f"{what}: {gain_text(own)}.", ""]
    return "\n".join(lines)
