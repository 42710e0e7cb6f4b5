"""`policy-distill dashboard`: the project's W&B workspace."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.showing.output import Output


@dataclass(frozen=True)
class Dashboard:
    """Build the project's W&B workspace: returns, KL, sizes, compression, Pareto chart, run table.

    With a key it is saved online; without one, or with --offline, its specification is written as JSON.

    Example: policy-distill dashboard --out dashboard.json
    """

    project: str | None = None
    """W&B project; by default WANDB_PROJECT, or policy-distill."""
    entity: str | None = None
    """W&B entity; by default WANDB_ENTITY, or the key's own."""
    offline: bool = False
    """Write the specification only, and do not save it online."""
    out: Path = Path("dashboard.json")
    """Where the specification goes."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Save or write the workspace."""
        from policy_distill.student.file import write_atomically
        from policy_distill.tracking.dashboard import build, save, specification
        from policy_distill.tracking.wandb_start import DEFAULT_PROJECT, has_key

        project = self.project or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT
        entity = self.entity or os.environ.get("WANDB_ENTITY") or ""
        workspace = build(project, entity)
        record: dict[str, Any] = {"project": project, "entity": entity or None}
        offline = self.offline or os.environ.get("WANDB_MODE") in ("offline", "disabled") or not has_key()
        if offline:
            write_atomically(self.out, (json.dumps(specification(workspace), indent=2) + "\n").encode())
            record["specification"] = str(self.out)
        else:
            record["url"] = save(workspace)
        Output(self.json).show(record, list(record.items()))
        return 0
