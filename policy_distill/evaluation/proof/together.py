"""What a student of several tasks keeps in all of them together: the geometric mean of its retentions.

In: paired returns of each task. Out: that mean with its interval. The geometric mean is what Rusu et al. 2015 (arXiv
1511.06295) give: a task that is lost is not made up for by one in which the student beats its teacher.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.records import RetentionRecord
from policy_distill.evaluation.statistics import LEAST, N_RESAMPLES, json_number, percentiles
from policy_distill.system.records import ENDS, NUMBER, TEXT, part

ORDER_OF_OUTCOMES = ("undefined", "inferior", "undecided", "non-inferior")
"""Of verdicts: all tasks together are what the worst of them is."""


@dataclass(frozen=True)
class TogetherRecord:
    """All tasks together."""

    geometric_mean: float | None = part(NUMBER)
    """Of the retentions by mean returns; a retention below 0 counts as 0, and None is where one is undefined."""
    ci95: Sequence[float | None] | None = part(ENDS)
    """Percentile bootstrap over paired episodes, each task's by themselves."""
    worst: float | None = part(NUMBER)
    """The lowest of the retentions."""
    outcome: str | None = part(TEXT)
    """The worst verdict of a task: non-inferior where every task's is."""


def taken_together(
    returns: Sequence[PairedReturns], kept: Sequence[RetentionRecord | None], seed: int = 0
) -> TogetherRecord | None:
    """Return what all tasks come to; None without returns of every one."""
    if not returns or len(returns) != len(kept):
        return None
    single = [_kept(one.student.mean(), one.teacher.mean(), one.random.mean()) for one in returns]
    found = [one.verdict.outcome if one and one.verdict else None for one in kept]
    outcomes = [one for one in found if one in ORDER_OF_OUTCOMES]
    worst_outcome = min(outcomes, key=ORDER_OF_OUTCOMES.index) if len(outcomes) == len(found) else None
    if not all(map(math.isfinite, single)):
        return TogetherRecord(None, [None, None], None, worst_outcome)
    mean = float(_geometric(np.array(single)[:, None])[0])
    low, high = _interval(returns, seed)
    return TogetherRecord(mean, [json_number(low), json_number(high)], float(min(single)), worst_outcome)


def _interval(returns: Sequence[PairedReturns], seed: int) -> tuple[float, float]:
    """Return the widened 95% percentile interval of the geometric mean; NaN for too few episodes."""
    fewest = min(len(one.student) for one in returns)
    if fewest < LEAST:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = np.stack([_resampled(one, rng) for one in returns])
    low, high = np.percentile(_geometric(drawn), percentiles(fewest))
    return float(low), float(high)


def _resampled(returns: PairedReturns, rng: np.random.Generator) -> np.ndarray:
    """Return retentions `[N_RESAMPLES]` of resampled episodes; nothing is kept where the teacher gains nothing."""
    n = len(returns.student)
    rows = rng.integers(n, size=(N_RESAMPLES, n))
    student, teacher, random = (x[rows].mean(axis=1) for x in (returns.student, returns.teacher, returns.random))
    return np.nan_to_num(_kept(student, teacher, random), nan=0.0)


def _kept(student, teacher, random):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the share of the gain that is kept; NaN where there is no gain."""
    gain = teacher - random
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gain > 0, (student - random) / gain, np.nan)


def _geometric(kept: np.ndarray) -> np.ndarray:
    """Return geometric means `[n]` over tasks of retentions `[tasks, n]`."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(np.maximum(kept, 0.0)).mean(axis=0)))
