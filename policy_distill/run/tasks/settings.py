"""What is asked of a student of several tasks beside the settings that every distillation has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policy_distill.system.settings import require_setting
from policy_distill.training.tasks.names import BALANCES, INPUTS


@dataclass(frozen=True)
class TaskSettings:
    """How several tasks share one student."""

    task_blind: bool = False
    """Do not tell the student which task it is in: one network with one head for all, which must find out. The tasks
    have the same spaces."""
    inputs: Literal["own", "padded"] = "own"
    """First layers of a student that is told its task: own has one for each observation space; padded has one for all,
    over observations padded with zeros, with a bias for each task, like a one-hot input."""
    balance: Literal["divergence", "entropy", "none"] = "divergence"
    """What the loss of a task is divided by, so that no task drowns another: its running mean where that is above 10
    nats, the teacher's entropy (of discrete actions), or nothing."""

    def __post_init__(self) -> None:
        """Check every value."""
        require_setting(isinstance(self.task_blind, bool), "task_blind", "true or false", self.task_blind)
        require_setting(self.inputs in INPUTS, "inputs", "one of " + ", ".join(INPUTS), self.inputs)
        require_setting(self.balance in BALANCES, "balance", "one of " + ", ".join(BALANCES), self.balance)
