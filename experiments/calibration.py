"""How often the proof errs, and how often its bounds cover, in simulations whose truth is known.

    python -m experiments.calibration

A minute. Expected: the verdict errs in at most 5% of the trials at the margin, whatever the distribution of the returns
and however often one looks; bounds cover in at least 95%.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tyro

from experiments.seed_simulations import SIZES, coverage_rows
from experiments.simulated_returns import AT_THE_MARGIN, BROKEN
from experiments.simulations import (
    covered,
    error_rate,
    interval_coverage,
    power,
    selection_coverage,
)
from policy_distill.commands.showing.output import table


@dataclass(frozen=True)
class Calibration:
    """Print the table of error rates and coverage."""

    trials: int = 400
    """Simulated comparisons in each cell; ten times as many for the error rates of the verdict."""
    seed: int = 0
    """Seed of the simulations."""


def main(settings: Calibration) -> int:
    """Simulate and print."""
    rng, n = np.random.default_rng(settings.seed), settings.trials
    plans = [(10, None), (30, None), (100, None), (300, 2), (300, 20), (300, 100)]
    rows = [
        (case.name, *(f"{error_rate(case, plan, 10 * n, rng):.1%}" for plan in plans))
        for case in (*AT_THE_MARGIN, BROKEN)
    ]
    print("Called non-inferior at the margin (at most 5%):\n")
    print(table(rows, ("returns", "n = 10", "30", "100", "until certain, batch 2", "20", "100")))
    rows = [(case.name, *(f"{share:.1%}" for share in covered(case, n, rng))) for case in AT_THE_MARGIN]
    print("\nBounds that cover the truth, at the stop of a proof (at least 95%):\n")
    print(table(rows, ("returns", "lower bound of the mean", "two-sided", "falls at most")))
    print("\nReturns' IQM, bootstrap (95%):\n")
    print(table(list(interval_coverage(n, rng)), ("returns", "n = 10", "30", "100")))
    print("\nA student that equals its teacher:\n")
    print(table(list(power(n, rng)), ("floor, gains", "spread of an episode", "certified", "episodes, median", "90%")))
    best, fresh = selection_coverage(n, rng)
    print("\nThe best of 20 equal students, lower bound above the truth:")
    print(f"on the episodes that chose it {best:.1%}, on fresh ones {fresh:.1%}")
    print(
        "\nMean over training seeds, 95% interval (in brackets: ranges, which claim nothing; drawing the runs anew):\n"
    )
    rows = list(coverage_rows(max(n // 4, 1), rng))
    print(table(rows, ("training seeds", *(f"{envs} x {seeds}" for envs, seeds in SIZES))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Calibration, description=__doc__)))
