"""What a compression is asked for: the bar, what is made small, and what it may take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policy_distill.compression.candidates import MINIMIZE
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.verdict import check_share

CHOOSING = 0.5
"""Of a budget, what is kept for the episodes that choose."""


@dataclass(frozen=True)
class Limits:
    """Checked when it is made."""

    bar: float
    """Share of the teacher's gain over random that is to be kept."""
    minimize: str = "params"
    """One of `candidates.MINIMIZE`."""
    budget: int | None = None
    """Environment steps of collecting and choosing together, at most."""
    max_params: int | None = None
    """Parameters of the deployed student, at most."""
    max_bytes: int | None = None
    """Bytes of these, at most."""
    keep_std: bool = False
    """Keep log σ, so that the student can act by sampling."""

    def __post_init__(self) -> None:
        """Check all of it.

        Raises:
            RequestError: naming what is out of range.
        """
        check_share("retention", self.bar)
        if self.minimize not in MINIMIZE:
            raise RequestError(f"expected --minimize among {', '.join(MINIMIZE)}, found {self.minimize!r}")
        for name in ("budget", "max_params", "max_bytes"):
            value = vars(self)[name]
            if value is not None and value < 1:
                raise RequestError(f"expected --{name.replace('_', '-')} of at least 1, found {value}")

    def within(self, config: DistillConfig) -> DistillConfig:
        """Return settings that leave room for choosing.

        Raises:
            RequestError: where nothing would be proven.
        """
        if config.eval_episodes == 0:
            raise RequestError("expected --eval-episodes above 0: a student that nobody proved is none to choose")
        if self.budget is None:
            return config
        return replace(config, timesteps=max(1, min(config.timesteps, int((1 - CHOOSING) * self.budget))))
