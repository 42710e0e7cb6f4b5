"""Returns whose truth is known, and how often a proof errs on them: behind `experiments.calibration` and its tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from experiments.simulated_returns import AT_THE_MARGIN, Case, Returns, falls
from policy_distill.evaluation.proof.betting import ROUNDING, log_capital_path
from policy_distill.evaluation.proof.falls import Falls, count_falls, rate_high
from policy_distill.evaluation.proof.kept import mean_kept
from policy_distill.evaluation.proof.plan import BATCH, MAX_EPISODES
from policy_distill.evaluation.proof.scale import N_EPISODES, Scale
from policy_distill.evaluation.proof.verdict import ALPHA, MARGIN, Verdict, judge
from policy_distill.evaluation.statistics import interval, iqm


@dataclass(frozen=True)
class Proof:
    """What a simulated proof saw, and what it says."""

    returns: Returns
    """Up to the look at which it stopped."""
    scale: Scale
    verdict: Verdict
    may_stop: bool = False
    """True where it looked in batches, and stopped when it knew."""

    @property
    def falls(self) -> Falls:
        """Falls of the student."""
        return count_falls(self.returns[0], self.scale.fall_line, may_stop=self.may_stop)

    def bounds(self) -> tuple[float, float, float]:
        """Return the lower bound of the mean retention, and the ends of its interval."""
        _, *bounds = mean_kept(*self.returns, self.scale, self.verdict)
        low, left, right = bounds
        return low, left, right


def proof(case: Case, n_episodes: int, batch: int | None, rng: np.random.Generator) -> Proof:
    """Run a proof: in batches until the verdict is clear, or with one look at the end."""
    _, teacher, random = case.draw(rng, N_EPISODES)
    scale = Scale(teacher, random, case.worst_loss)
    drawn = case.draw(rng, n_episodes)
    for n in [n_episodes] if batch is None else [*range(batch, n_episodes, batch), n_episodes]:
        seen = (drawn[0][:n], drawn[1][:n], drawn[2][:n])
        verdict = judge(*seen, scale=scale)
        if verdict.decided:
            break
    return Proof(seen, scale, verdict, batch is not None)


def error_rate(case: Case, plan: tuple[int, int | None], trials: int, rng: np.random.Generator) -> float:
    """Return how often a student at the margin is called non-inferior; `plan` is episodes and batch."""
    return sum(certified(case, *plan, rng) for _ in range(trials)) / trials


def certified(case: Case, n_episodes: int, batch: int | None, rng: np.random.Generator) -> bool:
    """Say whether `proof` ends as non-inferior: the same, with the capital after every episode found at once."""
    _, teacher, random = case.draw(rng, N_EPISODES)
    scale = Scale(teacher, random, case.worst_loss)
    drawn = case.draw(rng, n_episodes)
    x = (drawn[0] - (1 - MARGIN) * drawn[1] - MARGIN * drawn[2]) / scale.stake
    looks = np.array([n_episodes] if batch is None else [*range(batch, n_episodes, batch), n_episodes]) - 1
    up, down = (log_capital_path(side)[looks] >= -np.log(ALPHA) for side in (x, -x))
    within, below = (np.maximum.accumulate(side)[looks] <= 1 + ROUNDING for side in (-x, x))
    ends = np.flatnonzero((up & within) | (down & below))
    if not len(ends):
        return False
    n = int(looks[ends[0]]) + 1
    # What the bets do not say: whether there is a gain to keep a share of.
    return judge(drawn[0][:n], drawn[1][:n], drawn[2][:n], scale=scale).outcome == "non-inferior"


def covered(case: Case, trials: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return how often the lower bound, the two-sided interval and the bound on falls hold, at the stop of a proof."""
    hits = np.zeros(3)
    for _ in range(trials):
        found = proof(case, MAX_EPISODES, BATCH, rng)
        low, left, right = found.bounds()
        # No bound is no claim.
        hits += (
            np.isnan(low) or low <= case.kept,
            np.isnan(left) or np.isnan(right) or left <= case.kept <= right,
            found.falls.rate_high >= case.fall_rate,
        )
    low, both, falls = hits / trials
    return float(low), float(both), float(falls)


def interval_coverage(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    """Yield how often the bootstrap interval of the teacher's IQM covers it, for several numbers of episodes."""
    for case in AT_THE_MARGIN[2:]:
        truth = float(iqm(case.draw(rng, 400_000)[0]))
        yield (case.name, *(f"{iqm_coverage(case, n, truth, trials // 2, rng):.1%}" for n in (10, 30, 100)))


def iqm_coverage(case: Case, n: int, truth: float, trials: int, rng: np.random.Generator) -> float:
    """Return how often the interval of the student's IQM of `n` returns holds the truth."""
    found = (interval(case.draw(rng, n)[0], trial) for trial in range(trials))
    return sum(low - 1e-9 <= truth <= high + 1e-9 for low, high in found) / trials


def power(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    """Yield how often and how soon a student that equals its teacher is certified."""
    for floor in (1.1, 2.0, 3.3):
        for spread in (0.0, 0.1, 0.2):
            stops = [stop for _ in range(trials // 8) if (stop := _certified_after(floor, spread, rng)) is not None]
            share = len(stops) / (trials // 8)
            sizes = [f"{np.percentile(stops, q):.0f}" if stops else "" for q in (50, 90)]
            yield (f"{floor}", f"{spread}", f"{share:.0%}", *sizes)


def _certified_after(floor: float, spread: float, rng: np.random.Generator) -> int | None:
    student = 1 + spread * rng.standard_normal(MAX_EPISODES)
    teacher, random = np.ones(MAX_EPISODES), np.zeros(MAX_EPISODES)
    scale = Scale(teacher, random, floor)
    for n in range(BATCH // 4, MAX_EPISODES + 1, BATCH // 4):
        verdict = judge(student[:n], teacher[:n], random[:n], scale=scale)
        if verdict.outcome == "non-inferior":
            return n
        if verdict.decided:
            return None
    return None


def selection_coverage(trials: int, rng: np.random.Generator, n_students: int = 20) -> tuple[float, float]:
    """Return how often the lower bound lies above the truth for the best of equal students.

    First where the episodes that chose it also prove it, then on fresh ones.
    """
    case, n = AT_THE_MARGIN[2], 100
    wrong = np.zeros(2)
    for _ in range(trials // 4):
        _, teacher, random = case.draw(rng, N_EPISODES)
        scale = Scale(teacher, random)
        seen = [case.draw(rng, n) for _ in range(n_students)]
        best = max(seen, key=lambda returns: float(returns[0].mean() - returns[1].mean()))
        for i, returns in enumerate((best, case.draw(rng, n))):
            wrong[i] += Proof(returns, scale, judge(*returns, scale=scale)).bounds()[0] > case.kept
    return float(wrong[0] / (trials // 4)), float(wrong[1] / (trials // 4))


def falls_missed(
    rate: float, trials: int, rng: np.random.Generator, plan: tuple[int, int] = (MAX_EPISODES, BATCH)
) -> dict[str, float]:
    """Return how often a bound on falls lies below their true rate where a proof stops; `plan` is episodes and batch.

    By the bound that is shown, and by Clopper's and Pearson's, which is for a number of episodes that was fixed.
    """
    case = Case("falls", falls(rate, 1.0), kept=1 - rate, fall_rate=rate, worst_loss=1.1)
    found = [proof(case, *plan, rng).falls for _ in range(trials)]
    bounds = {"shown": [one.rate_high for one in found], "fixed": [rate_high(one.n, one.n_episodes) for one in found]}
    return {name: sum(bound < rate for bound in highs) / trials for name, highs in bounds.items()}
