"""What files say of one policy in an evaluation, of any version, field by field in their order: returns and size.

In: what was measured, or the JSON values of a file. Out: the other; see `system/records.py`. None is what was not
measured, or was not kept by an earlier version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_distill.evaluation.proof.records import Ends
from policy_distill.system.records import FLAG, INTERVAL, NUMBER, NUMBERS, part
from policy_distill.system.wording import digits, signed


@dataclass(frozen=True)
class ReturnsRecord:
    """The returns of whole episodes: `Evaluation`."""

    mean: float | None = part(NUMBER, left_out=True)
    std: float | None = part(NUMBER, left_out=True)
    iqm: float | None = part(NUMBER, left_out=True)
    ci95: Ends | None = part(INTERVAL, left_out=True)
    """95% bootstrap interval of the IQM; two None for too few episodes."""
    median: float | None = part(NUMBER, left_out=True)
    worst5: float | None = part(NUMBER, left_out=True)
    """Mean of the lowest 5%."""
    n_cut: int | None = part(NUMBER, left_out=True)
    """Episodes that were stopped at the limit of steps; None for none."""
    phases: Sequence[float] | None = part(NUMBERS, left_out=True)
    """Mean return gained in each tenth of an episode."""


NOT_MEASURED = ReturnsRecord()


@dataclass(frozen=True)
class PolicyRecord:
    """A policy: its returns, where they were measured, and its size."""

    returns: ReturnsRecord = part(ReturnsRecord, inline=True)
    n_params: int | None = part(NUMBER, left_out=True)
    """What acting needs."""
    n_bytes: int | None = part(NUMBER, left_out=True)
    macs: int | None = part(NUMBER, left_out=True)
    """Multiply-accumulates for one observation."""

    def __post_init__(self) -> None:
        """Have returns in any case: of none measured, all are None."""
        object.__setattr__(self, "returns", self.returns or NOT_MEASURED)


def returns_of(policy: PolicyRecord | None) -> ReturnsRecord:
    """Return a policy's returns; of one that was not measured, all are None."""
    return NOT_MEASURED if policy is None else policy.returns


@dataclass(frozen=True)
class DifferenceRecord:
    """How much more a teacher returns by sampling than by its mode."""

    mean: float | None = part(NUMBER)
    low: float | None = part(NUMBER)
    better: bool | None = part(FLAG)
    n_episodes: int | None = part(NUMBER)


@dataclass(frozen=True)
class SampledRecord:
    """A teacher by sampling, beside its mode: `ModeAndSample`."""

    returns: ReturnsRecord = part(ReturnsRecord, inline=True)
    n_episodes: int | None = part(NUMBER)
    seed: int | None = part(NUMBER)
    env_steps: int | None = part(NUMBER)
    difference: DifferenceRecord | None = part(DifferenceRecord)

    def __post_init__(self) -> None:
        """Have returns in any case, as a `PolicyRecord`."""
        object.__setattr__(self, "returns", self.returns or NOT_MEASURED)

    def text(self) -> str:
        """Return the return by sampling, how much more that is than by the mode, and what it took to know."""
        mean, more = self.returns.mean, self.difference or DifferenceRecord()
        if mean is None or more.mean is None:
            return ""
        bound = "" if more.low is None else f", at least {signed(more.low)} with 95%"
        episodes = "" if self.n_episodes is None else f" in {self.n_episodes:.0f} episodes"
        cost = "" if self.env_steps is None else f"; {self.env_steps:,.0f} steps"
        return f"{digits(mean)}, {signed(more.mean)} against its mode{episodes}{bound}{cost}"

    def warning(self) -> str:
        """Return what to tell whoever takes the mode for the teacher, where sampling is better by more than its error.

        Empty elsewhere.
        """
        if self.difference is None or not self.difference.better:
            return ""
        return (
            "the teacher is better by sampling than by its mode, which the student is measured by: "
            f"{self.text()}; compare --stochastic has both act by sampling"
        )
