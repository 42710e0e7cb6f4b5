"""Verdicts of non-inferiority: does the student keep the teacher's mean return, up to a margin?

In: paired returns, and the scale of the proof. Out: a `Verdict`. What is judged is the mean, so that rare falls count,
which leave the IQM as it is:

    X = student - (1 - margin) * teacher - margin * random,     non-inferior: E[X] > 0,     inferior: E[X] < 0

which needs no division by the teacher's gain. Two bets decide, one on each side (`betting.py`). Each errs in 5% at
most, at every stop, for any distribution of returns, as long as no episode loses more than the floor (for `inferior`:
wins more). The floor is an assumption, so it is watched: an episode beyond it leaves the verdict undecided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.betting import ROUNDING, episodes_needed, log_capital
from policy_distill.evaluation.proof.records import BeyondRecord, VerdictRecord
from policy_distill.evaluation.proof.scale import Scale, clearly_gains
from policy_distill.evaluation.statistics import json_number
from policy_distill.system.records import dump

MARGIN = 0.05
"""The share of the teacher's gain over random that a non-inferior student may lose."""

ALPHA = 0.05
"""One-sided error rate of each verdict, over all looks together."""

Outcome = Literal["non-inferior", "inferior", "undecided", "undefined"]


@dataclass(frozen=True)
class Beyond:
    """An episode that lost more than was assumed to be possible."""

    episode: int
    """Its index: it started from the first seed plus this."""
    loss: float
    """What it lost, in gains of the teacher over random."""


@dataclass(frozen=True)
class Verdict:
    """Whether the student keeps the teacher's mean return up to a margin."""

    outcome: Outcome
    """`undecided` where the episodes do not tell, `undefined` where the teacher does not clearly beat random."""
    margin: float
    """Share of the teacher's gain over random that may be lost."""
    margin_return: float
    """The same in units of the return."""
    alpha: float
    """Chance of `non-inferior` for a student exactly at the margin, at most; the same for `inferior`."""
    p_value: float
    """Of "the student loses the margin or more": 1 over the capital of the bet, valid at every stop."""
    floor: float
    """What one episode is assumed to lose at most, in gains; NaN where the teacher gains nothing."""
    declared: bool
    """True where the user declared the floor; else it is a tenth below the worst random episode."""
    n_episodes: int
    """Paired episodes that it took."""
    n_looks: int
    """Times that the data was looked at; the bets allow for any number."""
    beyond: Beyond | None
    """The episode that lost most, where it lost more than the floor."""

    @property
    def decided(self) -> bool:
        """True where more episodes change nothing."""
        return self.outcome in ("non-inferior", "inferior")

    def record(self) -> VerdictRecord:
        """Return what files say of it; NaN becomes None."""
        return VerdictRecord(
            outcome=self.outcome,
            margin=self.margin,
            alpha=self.alpha,
            p_value=json_number(self.p_value),
            floor=json_number(self.floor),
            margin_return=json_number(self.margin_return),
            declared=self.declared,
            n_episodes=self.n_episodes,
            n_looks=self.n_looks,
            beyond=None if self.beyond is None else BeyondRecord(self.beyond.episode, self.beyond.loss),
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; NaN becomes null."""
        return dump(self.record())


def judge(
    student: np.ndarray,
    teacher: np.ndarray,
    random: np.ndarray,
    margin: float = MARGIN,
    *,
    alpha: float = ALPHA,
    scale: Scale | None = None,
    n_looks: int = 1,
) -> Verdict:
    """Judge paired returns `[n]`.

    Args:
        student: returns of the student.
        teacher: of the teacher, from the same seeds.
        random: of a random policy, from the same seeds.
        margin: share of the teacher's gain over random that may be lost, in (0, 1).
        alpha: one-sided error rate.
        scale: measured on other episodes; without one these have to do, and the guarantee is approximate.
        n_looks: looks so far, this one included.

    Raises:
        RequestError: for a margin or error rate that is no share.
    """
    check_share("margin", margin)
    check_share("alpha", alpha)
    scale = scale or Scale(teacher, random)
    x = student - (1 - margin) * teacher - margin * random
    # On both: the scale is looked at once, however often one looks at the proof.
    defined = clearly_gains(scale.teacher, scale.random) and clearly_gains(teacher, random)
    found = _bet(x, scale, alpha) if defined else _Bets("undefined")
    return Verdict(
        outcome=found.outcome,
        margin=margin,
        margin_return=margin * scale.gain if scale.gain > 0 else math.nan,
        alpha=alpha,
        p_value=found.p_value,
        floor=scale.floor,
        declared=scale.worst_loss is not None,
        n_episodes=len(x),
        n_looks=n_looks,
        beyond=found.beyond,
    )


class _Bets(NamedTuple):
    """What the two bets come to."""

    outcome: Outcome
    p_value: float = 1.0
    beyond: Beyond | None = None


def _bet(x: np.ndarray, scale: Scale, alpha: float) -> _Bets:
    """Bet on both sides of 0 with `x` `[n]`, in units of the return, of which none is assumed beyond the scale's stake.

    An episode that lost more leaves `non-inferior` out, one that won more `inferior`.
    """
    up, down = log_capital(x / scale.stake), log_capital(-x / scale.stake)
    most, worst = scale.stake * (1 + ROUNDING), int(x.argmin())
    beyond = Beyond(worst, float(-x[worst] / scale.gain)) if x[worst] < -most else None
    outcome: Outcome = "undecided"
    if up >= -math.log(alpha) and beyond is None:
        outcome = "non-inferior"
    elif down >= -math.log(alpha) and x.max() <= most:
        outcome = "inferior"
    return _Bets(outcome, min(1.0, math.exp(-max(up, 0.0))) if beyond is None else 1.0, beyond)


def episodes_for_equal(scale: Scale, margin: float = MARGIN, alpha: float = ALPHA) -> int:
    """Return how many episodes certify a student that does exactly as its teacher, in every episode."""
    return episodes_needed(margin / scale.floor, alpha) if scale.gain > 0 else 1


def check_share(name: str, value: float) -> None:
    """Refuse a number that is not within (0, 1).

    Raises:
        RequestError: naming it.
    """
    if not 0 < value < 1:
        raise RequestError(f"expected {name} between 0 and 1, found {value}; 0.05 is usual")
