"""All subcommands by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy_distill.commands.compare import Compare
from policy_distill.commands.dashboard import Dashboard
from policy_distill.commands.distill import Distill
from policy_distill.commands.evaluate import Evaluate
from policy_distill.commands.info import Info
from policy_distill.commands.report import Report
from policy_distill.commands.sync import Sync
from policy_distill.commands.train import Train

COMMANDS: dict[str, Callable[..., Any]] = {
    "train": Train,
    "distill": Distill,
    "evaluate": Evaluate,
    "compare": Compare,
    "info": Info,
    "report": Report,
    "sync": Sync,
    "dashboard": Dashboard,
}
