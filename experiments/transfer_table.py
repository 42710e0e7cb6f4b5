"""The section Transfer of RESULTS.md, from what `experiments.transfer` measured.

In: learning curves of a transferred student and one from nothing, by training seed. Out: a table, and a section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

SECTION = "## Transfer"
"""Heading of the section that is written anew; what comes before and after it stays."""
SHARE = 0.9
"""Of what the student from nothing gains, where steps are counted to."""
HEADER = (
    *(
        "from",
        "to",
        "student",
        "steps of each",
        "seed",
        "before: transferred",
        "from nothing",
        "steps to 90%: transferred",
    ),
    *("from nothing", "area: transferred", "from nothing", "end: transferred", "from nothing"),
)


@dataclass(frozen=True)
class Curve:
    """Returns of one student while it learns."""

    points: tuple[tuple[int, float], ...]
    """Environment steps, and the mean return on the episodes that all looks share."""
    total: int
    """Steps of the run."""

    @property
    def start(self) -> float:
        """Return before anything was learnt."""
        return self.points[0][1]

    @property
    def end(self) -> float:
        """Return of the last look."""
        return self.points[-1][1]

    @property
    def best(self) -> float:
        """The highest return of a look."""
        return max(value for _, value in self.points)

    @property
    def area(self) -> float:
        """Mean return over the steps of the run, between looks along a line."""
        steps, values = (np.array(column, np.float64) for column in zip(*self.points, strict=True))
        return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))

    def steps_to(self, level: float) -> int | None:
        """Return the steps of the first look that reaches a return; None where none does."""
        return next((steps for steps, value in self.points if value >= level), None)


@dataclass(frozen=True)
class Pair:
    """Both students of a task and a training seed."""

    task: str
    began_in: str
    env: str
    student: str
    seed: int
    transferred: Curve
    scratch: Curve

    @property
    def level(self) -> float:
        """90% of what the student from nothing gains at its best."""
        return self.scratch.start + SHARE * (self.scratch.best - self.scratch.start)

    @property
    def steps(self) -> tuple[int | None, int | None]:
        """Steps to that level, of the transferred student and of the other."""
        return self.transferred.steps_to(self.level), self.scratch.steps_to(self.level)

    @property
    def line(self) -> str:
        """What came of it, for the terminal."""
        return f"{self.env} seed {self.seed}: steps to {self.level:.1f}: {' against '.join(map(_steps, self.steps))}"

    def row(self) -> tuple[str, ...]:
        """Return its row of the table."""
        pairs = [(one.start, one.area, one.end) for one in (self.transferred, self.scratch)]
        start, area, end = ([f"{value:,.1f}" for value in two] for two in zip(*pairs, strict=True))
        steps = [_steps(one) for one in self.steps]
        budget = f"{self.scratch.total:,}"
        return (self.began_in, self.env, self.student, budget, str(self.seed), *start, *steps, *area, *end)


def fewer(pairs: Sequence[Pair]) -> tuple[float | None, bool]:
    """Return how many times fewer steps the transferred students of a task take, in the geometric mean over seeds.

    One that is there before its first step is counted as needing as many as lie between two looks at the other, so that
    the figure is a lower bound, which the second value says. None where a student does not come to the level.
    """
    ratios, bound = [], False
    for one in pairs:
        own, other = one.steps
        if own is None or other is None or other == 0:
            return None, False
        between = one.scratch.points[1][0] - one.scratch.points[0][0]
        bound, own = bound or own == 0, own or between
        ratios.append(other / own)
    return float(np.exp(np.mean(np.log(ratios)))), bound


def difference(pairs: Sequence[Pair], name: str) -> str:
    """Return what transferred students have more of than those from nothing, with a 95% t interval over seeds."""
    gaps = np.array([getattr(one.transferred, name) - getattr(one.scratch, name) for one in pairs])
    if len(gaps) < 2:
        return f"{gaps.mean():+,.1f} (one seed)"
    half = float(t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps)))
    return f"{gaps.mean():+,.1f} [{gaps.mean() - half:+,.1f}, {gaps.mean() + half:+,.1f}]"


def words_of(pairs: Sequence[Pair]) -> str:
    """Return what the seeds of a task come to, in a sentence."""
    ratio, bound = fewer(pairs)
    missed, at_once = (sum(one.steps[0] == steps for one in pairs) for steps in (None, 0))
    if ratio is None:
        steps = f"{missed} of {len(pairs)} transferred students do not come to that level"
    else:
        steps = f"{'at least ' if bound else ''}{ratio:.1f} times fewer steps"
    if at_once:
        steps += f" ({at_once} of {len(pairs)} are there before their first step)"
    rest = f"area {difference(pairs, 'area')}, end {difference(pairs, 'end')}"
    return f"- {pairs[0].began_in} to {pairs[0].env}, {len(pairs)} seeds: {steps}; {rest}."


def markdown(found: Sequence[Pair], n_episodes: int) -> str:
    """Return the section of RESULTS.md."""
    tasks = list(dict.fromkeys(one.task for one in found))
    seeds = " ".join(map(str, dict.fromkeys(one.seed for one in found)))
    lines = [
        SECTION,
        "",
        f"Made by `python -m experiments.transfer --task {' '.join(tasks)} --seeds {seeds}`; no figure is written",
        "by hand. A distilled student goes on by PPO in a changed environment, beside one of the same network,",
        "statistics and settings that begins with random weights. Steps are environment steps to 90% of what the one",
        f"from nothing gains at its best, as far as looks at both on the same {n_episodes} episodes tell; 0 is before",
        "anything was learnt. The critic's warm-up of the transferred student counts; the agent's own training and",
        "the distillation in the first environment do not. The area is the mean return over the run.",
        "",
        f"| {' | '.join(HEADER)} |",
        "|" + "---|" * len(HEADER),
        *(f"| {' | '.join(one.row())} |" for one in found),
        "",
        "Differences to the one from nothing, with 95% intervals over seeds:",
        "",
        *(words_of([one for one in found if one.task == task]) for task in tasks),
    ]
    return "\n".join(lines) + "\n"


def _steps(value: int | None) -> str:
    return "not reached" if value is None else f"{value:,}"
