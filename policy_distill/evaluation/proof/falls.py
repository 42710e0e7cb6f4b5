"""Falls: episodes that lose more than half of the teacher's gain, and how many there may be at most.

In: returns and the line below which one is a fall. Out: a count and an upper bound on the rate. Where the number of
episodes was fixed beforehand the bound is that of Clopper and Pearson 1934 (Biometrika 26(4)). A proof that ends when
its verdict is clear ends early where nothing fell, and there that bound would miss in up to 14% in place of 5%: its
bound is a bet, which holds at every stop (`betting.py`). The same line counts the teacher's falls, so that a student is
not blamed for those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from policy_distill.evaluation.proof.records import FallsRecord

ALPHA = 0.05
"""Chance that the bound lies below the true rate, at most."""

RARER = np.array([0.0, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9])
"""A bet against a rate is one for a smaller rate: for these shares of it."""

NONE = 0.8
"""Of the capital, what is bet on no falls at all: where none is seen, the bound is then hardly above that of a fixed
number of episodes."""

STAKES = np.array([NONE, *np.full(len(RARER) - 1, (1 - NONE) / (len(RARER) - 1))])


@dataclass(frozen=True)
class Falls:
    """How often a policy fell."""

    n: int
    """Episodes that lost more than half of the gain."""
    n_episodes: int
    """Of so many."""
    may_stop: bool = False
    """True where what was seen might have ended it earlier, or later."""

    @property
    def rate(self) -> float:
        """Share of the episodes."""
        return self.n / self.n_episodes

    @property
    def rate_high(self) -> float:
        """Upper bound on the share, with 95% confidence."""
        bound = rate_high_at_any_stop if self.may_stop else rate_high
        return bound(self.n, self.n_episodes)

    def __str__(self) -> str:
        """Return the line that is shown everywhere."""
        return fall_line(self.n, self.n_episodes, self.rate_high)

    def record(self) -> FallsRecord:
        """Return what files say of it."""
        return FallsRecord(self.n, self.n_episodes, self.rate, self.rate_high)


def count_falls(returns: np.ndarray, line: float, *, may_stop: bool = False) -> Falls:
    """Count the returns `[n]` below `line`; `may_stop` where their number was not fixed beforehand."""
    return Falls(int((returns < line).sum()), len(returns), may_stop)


def rate_high(n: int, n_episodes: int, alpha: float = ALPHA) -> float:
    """Return the upper end of Clopper and Pearson's one-sided interval for a rate."""
    # Here, since it takes as long to import as all else that a help page needs.
    from scipy.special import betaincinv

    return 1.0 if n >= n_episodes else float(betaincinv(n + 1, n_episodes - n, 1 - alpha))


def rate_high_at_any_stop(n: int, n_episodes: int, alpha: float = ALPHA) -> float:
    """Return an upper bound on a rate that holds however often one looks, and whenever one stops.

    Who bets on the rate `c p` against `p` multiplies the capital by `(1 - c p) / (1 - p)` with each episode that stands
    and by `c` with each fall: in expectation by 1 where the rate is `p`. The chance that the capital ever reaches
    `1 / alpha` is then `alpha` at most, and the bound is the smallest rate at which it has.
    """
    if n >= n_episodes:
        return 1.0
    with np.errstate(divide="ignore"):
        known = np.log(STAKES) + (n * np.log(RARER) if n else 0.0)

    def rejected(rate: float) -> bool:
        logs = known + (n_episodes - n) * (np.log1p(-RARER * rate) - math.log1p(-rate))
        return bool(np.logaddexp.reduce(logs) >= -math.log(alpha))

    low, high = 0.0, 1.0 - 1e-9
    if not rejected(high):
        return 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if rejected(middle) else (middle, high)
    return high


def fall_line(n: int, n_episodes: int, high: float) -> str:
    """Return a count of falls as a sentence."""
    return f"{n} of {n_episodes} episodes lost more than half of the gain; fewer than {high:.1%} do (95%)"
