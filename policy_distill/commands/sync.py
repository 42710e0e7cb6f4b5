"""`policy-distill sync`: uploads offline W&B runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from policy_distill.commands.showing.output import Output


@dataclass(frozen=True)
class Sync:
    """Upload the offline W&B runs of a run folder, or of a folder of run folders, also after it was moved.

    Example: policy-distill sync runs/cartpole
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """A run folder, or a folder with run folders in it."""
    again: bool = False
    """Also upload runs that were uploaded before."""
    dry_run: bool = False
    """Print what would be uploaded, and upload nothing."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Upload and say what was."""
        from policy_distill.errors import RequestError
        from policy_distill.tracking.sync import offline_runs, sync
        from policy_distill.tracking.wandb_start import has_key

        found = offline_runs(self.folder) if self.folder.is_dir() else []
        if not found:
            raise RequestError(
                f"expected offline W&B runs below {self.folder}, found none; distill writes them with --track offline"
            )
        if not self.dry_run and not has_key():
            raise RequestError("expected a W&B key, found none: run wandb login, or set WANDB_API_KEY")
        rows = []
        for run in found:
            state = "uploaded before" if run.synced and not self.again else "to upload" if self.dry_run else "uploaded"
            if state == "uploaded":
                sync(run)
            rows.append((str(run.path), state))
        Output(self.json).show({"runs": [{"path": path, "state": state} for path, state in rows]}, rows)
        return 0
