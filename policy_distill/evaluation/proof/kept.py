"""Retention: the share of the teacher's gain over a random policy that a student keeps, with bounds that cover.

In: paired returns `[n]` and the scale of the proof. Out: a `Retention`. Bounds of the mean come from the bets of
`betting.py`, the same that decide the verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.evaluation.proof.betting import rejected_up_to
from policy_distill.evaluation.proof.falls import Falls, count_falls
from policy_distill.evaluation.proof.records import BothFalls, RetentionRecord
from policy_distill.evaluation.proof.scale import RESOLUTION, Scale
from policy_distill.evaluation.proof.verdict import ALPHA, MARGIN, Verdict, judge
from policy_distill.evaluation.statistics import bootstrap, iqm, json_number
from policy_distill.system.records import dump


@dataclass(frozen=True)
class Retention:
    """The share of the teacher's gain over a random policy that the student keeps, on paired episode seeds."""

    mean: float
    """(student - random) / (teacher - random) of mean returns; NaN where the teacher does not score above random."""
    mean_low: float
    """Lower 95% confidence bound of `mean`, at every stop: the verdict is non-inferior where it is 1 - margin or more.
    NaN where an episode lost more than the floor, or the verdict is undefined."""
    mean_ci95: tuple[float, float]
    """Two-sided 95% interval of `mean`, from the same bets."""
    iqm: float
    """The same ratio of interquartile means, which leave out rare falls; NaN as `mean`."""
    ci95: tuple[float, float]
    """Percentile bootstrap of `iqm` over paired episodes. Falls that were not seen do not widen it."""
    n_episodes: int
    """Paired episodes."""
    verdict: Verdict
    """Whether the student is as good as the teacher up to a margin, by the mean return."""
    falls: Falls
    """Episodes of the student that lost more than half of the gain."""
    teacher_falls: Falls
    """The same of the teacher."""

    def __str__(self) -> str:
        """Return what is read first, rounded."""
        bounds = ", ".join(f"{bound:.3f}" for bound in self.ci95)
        return (
            f"Retention(iqm={self.iqm:.3f}, ci95=({bounds}), mean={self.mean:.3f}, mean_low={self.mean_low:.3f}, "
            f"verdict={self.verdict.outcome}, falls={self.falls.n}, n_episodes={self.n_episodes})"
        )

    def record(self) -> RetentionRecord:
        """Return what files say of it, without the falls; NaN becomes None."""
        return RetentionRecord(
            mean=json_number(self.mean),
            mean_low=json_number(self.mean_low),
            mean_ci95=[json_number(x) for x in self.mean_ci95],
            iqm=json_number(self.iqm),
            ci95=[json_number(x) for x in self.ci95],
            n_episodes=self.n_episodes,
            verdict=self.verdict.record(),
        )

    def falls_record(self) -> BothFalls:
        """Return what files say of the falls of teacher and student."""
        return BothFalls(self.teacher_falls.record(), self.falls.record())

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, without the falls; NaN becomes null."""
        return dump(self.record())

    def falls_json(self) -> dict[str, Any]:
        """Return the falls of teacher and student as JSON values."""
        return dump(self.falls_record())


def retention(
    student: np.ndarray,
    teacher: np.ndarray,
    random: np.ndarray,
    seed: int = 0,
    margin: float = MARGIN,
    *,
    scale: Scale | None = None,
    n_looks: int = 1,
    may_stop: bool | None = None,
) -> Retention:
    """Compare returns `[n]` of three policies whose i-th episodes started from the same seed.

    The bootstrap draws whole episodes, the three returns together, so that what a seed does to all of them cancels.

    Args:
        student: returns of the student.
        teacher: returns of the teacher.
        random: returns of the random policy.
        seed: of the bootstrap.
        margin: share of the teacher's gain that a non-inferior student may lose.
        scale: measured on other episodes; without one these have to do, and the guarantee is approximate.
        n_looks: times that the data was looked at.
        may_stop: whether what was seen might have ended it at another number of episodes, which the bounds on falls
            have to allow for; None for as `n_looks` says.

    Raises:
        ValueError: for returns that are not paired, none at all, or not finite.
    """
    check_returns(student, teacher, random)
    may_stop = n_looks > 1 if may_stop is None else may_stop
    scale = scale or Scale(teacher, random)
    iqm_kept, ci95 = _kept(iqm, student, teacher, random, seed)
    verdict = judge(student, teacher, random, margin, scale=scale, n_looks=n_looks)
    of_means, *bounds = mean_kept(student, teacher, random, scale, verdict)
    falls, teacher_falls = (count_falls(x, scale.fall_line, may_stop=may_stop) for x in (student, teacher))
    low, *both = bounds
    return Retention(of_means, low, (both[0], both[1]), iqm_kept, ci95, len(student), verdict, falls, teacher_falls)


def check_returns(student: np.ndarray, teacher: np.ndarray, random: np.ndarray) -> None:
    """Refuse returns that cannot be compared.

    Raises:
        ValueError: for returns that are not paired, none at all, or not finite.
    """
    if not student.shape == teacher.shape == random.shape or student.ndim != 1:
        raise ValueError(f"returns must be paired, [n] each: {student.shape}, {teacher.shape}, {random.shape}")
    if not len(student):
        raise ValueError("expected the returns of at least one episode, found none")
    for name, returns in (("student", student), ("teacher", teacher), ("random policy", random)):
        wrong = np.flatnonzero(~np.isfinite(returns))
        if len(wrong):
            raise ValueError(f"expected finite returns, found {returns[wrong[0]]} of the {name} in episode {wrong[0]}")


def mean_kept(
    student: np.ndarray, teacher: np.ndarray, random: np.ndarray, scale: Scale, verdict: Verdict
) -> tuple[float, float, float, float]:
    """Return the share of the mean gain that is kept, its lower bound, and the ends of its interval.

    NaN where the teacher gains nothing; the bounds also where the verdict is undefined or the floor was broken.
    """
    if not _gains(np.mean, teacher, random):
        return (math.nan,) * 4
    gained, slope = student - random, teacher - random
    kept = float(gained.mean() / slope.mean())
    if verdict.outcome == "undefined":
        return kept, math.nan, math.nan, math.nan
    ends = [rejected_up_to(gained, slope, scale.stake, alpha) for alpha in (ALPHA, ALPHA / 2)]
    # The same from above: what is lost, as a share of the same gain.
    high = -rejected_up_to(-gained, slope, scale.stake, ALPHA / 2)
    low, low95 = (math.nan if verdict.beyond or math.isinf(end) else end for end in ends)
    return kept, low, low95, high if math.isfinite(high) else math.nan


def _kept(  # type: ignore[no-untyped-def]
    centre,  # noqa: ANN001
    student: np.ndarray,
    teacher: np.ndarray,
    random: np.ndarray,
    seed: int,
) -> tuple[float, tuple[float, float]]:
    """Return the share of the gain that is kept, with its interval; NaN where the teacher gains nothing."""
    if not _gains(centre, teacher, random):
        return math.nan, (math.nan, math.nan)
    samples = (student, teacher, random)
    return float(_gain_kept(centre)(*samples)), bootstrap(samples, _gain_kept(centre), seed)


def _gains(centre, teacher: np.ndarray, random: np.ndarray) -> bool:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Say whether the teacher scores above random by more than rounding: else a ratio would turn its sign."""
    size = max(np.abs(teacher).max(), np.abs(random).max(), 1e-12)
    return float(centre(teacher)) - float(centre(random)) > RESOLUTION * size


def _gain_kept(centre):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def ratio(student: np.ndarray, teacher: np.ndarray, random: np.ndarray) -> np.ndarray:
        base = centre(random, axis=-1)
        gain = centre(teacher, axis=-1) - base
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gain > 0, (centre(student, axis=-1) - base) / gain, np.nan)

    return ratio
