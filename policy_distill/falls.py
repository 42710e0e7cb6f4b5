"""Falls: episodes that lose more than half of the teacher's gain, and how many there may be at most.

In: returns and the line below which one is a fall. Out: a count and an upper bound on the rate, by Clopper and Pearson
1934 (Biometrika 26(4)). The same line counts the teacher's falls, so that a student is not blamed for those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv


@dataclass(frozen=True)
class Falls:
    """How often a policy fell."""

    n: int
    """Episodes that lost more than half of the gain."""
    n_episodes: int
    """Of so many."""

    @property
    def rate(self) -> float:
        """Share of the episodes."""
        return self.n / self.n_episodes

    @property
    def rate_high(self) -> float:
        """Upper bound on the share, with 95% confidence."""
        return rate_high(self.n, self.n_episodes)

    def __str__(self) -> str:
        """Return the line that is shown everywhere."""
        return fall_line(self.n, self.n_episodes, self.rate_high)

    def to_json(self) -> dict[str, float]:
        """Return JSON values."""
        return {"n": self.n, "n_episodes": self.n_episodes, "rate": self.rate, "rate_high": self.rate_high}


def count_falls(returns: np.ndarray, line: float) -> Falls:
    """Count the returns `[n]` below `line`."""
    return Falls(int((returns < line).sum()), len(returns))


def rate_high(n: int, n_episodes: int, alpha: float = 0.05) -> float:
    """Return the upper end of Clopper and Pearson's one-sided interval for a rate."""
    return 1.0 if n >= n_episodes else float(betaincinv(n + 1, n_episodes - n, 1 - alpha))


def fall_line(n: int, n_episodes: int, high: float) -> str:
    """Return a count of falls as a sentence."""
    return f"{n} of {n_episodes} episodes lost more than half of the gain; fewer than {high:.1%} do (95%)"
