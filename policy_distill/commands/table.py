"""All subcommands by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy_distill.commands.bench import Bench
from policy_distill.commands.compare import Compare
from policy_distill.commands.compress import Compress
from policy_distill.commands.dashboard import Dashboard
from policy_distill.commands.distill import Distill
from policy_distill.commands.evaluate import Evaluate
from policy_distill.commands.explain import Explain
from policy_distill.commands.export import Export
from policy_distill.commands.finetune import Finetune
from policy_distill.commands.info import Info
from policy_distill.commands.push import Push
from policy_distill.commands.report import Report
from policy_distill.commands.suite import Suite
from policy_distill.commands.sync import Sync
from policy_distill.commands.train import Train

COMMANDS: dict[str, Callable[..., Any]] = {
    "train": Train,
    "distill": Distill,
    "compress": Compress,
    "finetune": Finetune,
    "suite": Suite,
    "evaluate": Evaluate,
    "compare": Compare,
    "export": Export,
    "bench": Bench,
    "info": Info,
    "explain": Explain,
    "report": Report,
    "push": Push,
    "sync": Sync,
    "dashboard": Dashboard,
}
