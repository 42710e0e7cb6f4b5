"""Goes back to the last good student where training diverges, and on with a lower learning rate.

In: what trains (with `state` and `restore`), and a function that fits at a share of the learning rate. Out: the fit's
metrics, and how often it was done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np

from policy_distill.errors import RunFault

LOG = logging.getLogger("policy_distill")
STEP_BACK = 0.1
"""What the learning rate is multiplied by after each divergence."""


class Divergence(RunFault):
    """A loss or a gradient was not finite."""


class Restorable(Protocol):
    """What can be brought back to where it was."""

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that its next step depends on."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        ...


class Recovery:
    """Counts divergences over a run."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Times that training may go back in all."""
        self.n = 0
        """Times that it did."""

    @property
    def scale(self) -> float:
        """What the learning rate is multiplied by now."""
        return STEP_BACK**self.n

    def attempt(self, trained: Restorable, fit: Callable[[float], dict[str, float]]) -> dict[str, float]:
        """Return the metrics of `fit(scale)`; where it diverges, restore `trained` and fit again at a lower rate.

        Raises:
            RunFault: after the last recovery that was allowed; `trained` is then as it was before.
        """
        # A copy: a state may be a view of what the fit goes on to change.
        good = {name: np.array(array) for name, array in trained.state().items()}
        while True:
            try:
                metrics = fit(self.scale)
                return {**metrics, "train/recoveries": self.n, "train/rate_scale": self.scale} if self.n else metrics
            except Divergence as divergence:
                trained.restore(good)
                if self.n >= self.limit:
                    tried = f" after {self.n} recoveries" if self.n else ""
                    raise RunFault(f"{divergence}{tried}; the last good student is kept") from None
                self.n += 1
                LOG.warning("%s; back to the last good student, learning rate x %g", divergence, self.scale)
