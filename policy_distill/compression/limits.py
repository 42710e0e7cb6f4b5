"""What a compression is asked for: the bar, what is made small, and what it may take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from policy_distill.compression.candidates import MINIMIZE
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError

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
    """Environment steps of collecting, choosing and fine-tuning together, at most."""
    max_params: int | None = None
    """Parameters of the deployed student, at most."""
    max_bytes: int | None = None
    """Most bytes of these parameters."""
    keep_std: bool = False
    """Keep log σ, so that the student can act by sampling."""
    finetune: bool = False
    """Let reward improve what misses the bar at the border, before it is dropped."""

    def __post_init__(self) -> None:
        """Check all of it.

        Raises:
            RequestError: naming what is out of range.
        """
        if not 0 < self.bar < 1:
            raise RequestError(
                f"expected --retention above 0 and below 1, found {self.bar:g}; 0.95 is usual (no number of episodes "
                "can prove that nothing at all is lost)"
            )
        if self.minimize not in MINIMIZE:
            raise RequestError(f"expected --minimize among {', '.join(MINIMIZE)}, found {self.minimize!r}")
        for name in ("budget", "max_params", "max_bytes"):
            value = vars(self)[name]
            if value is not None and value < 1:
                raise RequestError(f"expected --{name.replace('_', '-')} of at least 1, found {value}")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; those of a compression without fine-tuning are as they were before there was any."""
        found = asdict(self)
        return found if self.finetune else {name: value for name, value in found.items() if name != "finetune"}

    def within(self, config: DistillConfig) -> DistillConfig:
        """Return settings that leave room for choosing.

        Raises:
            RequestError: where nothing would be proven, or for a monitor.
        """
        if config.eval_episodes == 0:
            raise RequestError(
                "expected --eval-episodes above 0, found 0: compress chooses only among students that it can prove"
            )
        if config.min_teacher_return is not None or config.drop_worst:
            raise RequestError(
                "expected all of the first rollout, which is all that the teacher acts here, found min_teacher_return "
                "or drop_worst; leave them out, or distil with actor=teacher"
            )
        if config.monitor:
            raise RequestError(
                "expected no --monitor, found it; leave it out, and add a monitor to the winner with policy-distill "
                "equip --monitor"
            )
        if self.budget is None:
            return config
        return replace(config, timesteps=max(1, min(config.timesteps, int((1 - CHOOSING) * self.budget))))
