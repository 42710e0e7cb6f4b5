"""What `evaluation.json` says of why a run collected no more states."""

from __future__ import annotations

from dataclasses import dataclass

from policy_distill.system.records import NUMBER, TEXT, part

KEPT, BUDGET = "kept", "budget"
REASONS = {
    KEPT: "the student kept the teacher's return",
    BUDGET: "the budget was used up",
}


@dataclass(frozen=True)
class StopRecord:
    """Why and when the collection ended."""

    reason: str | None = part(TEXT)
    """`kept`, or `budget`."""
    env_steps: int | None = part(NUMBER)
    """Steps collected by then."""
    timesteps: int | None = part(NUMBER)
    """Steps that were allowed."""
    judged_steps: int | None = part(NUMBER)
    """Environment steps that judging students took by then, beside those that were collected."""
    n_episodes: int | None = part(NUMBER)
    """Fresh episodes on which the last student was confirmed; 0 where the budget ended the run."""

    def __str__(self) -> str:
        """Return it in a line."""
        after = f"after {self.env_steps or 0:,} of {self.timesteps or 0:,} steps"
        on = f" in {self.n_episodes:,} fresh episodes" if self.n_episodes else ""
        judged = f", {self.judged_steps:,} more to judge" if self.judged_steps else ""
        return f"{after}{judged}: {REASONS.get(self.reason or '', self.reason)}{on}"
