"""`policy-distill report`: the page of a run, or of a folder of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from policy_distill.commands.showing.output import Output


@dataclass(frozen=True)
class Report:
    """Write report.html, one self-contained page, for a run folder or a folder of run folders.

    Example: policy-distill report runs/cartpole
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """A run folder, or a folder with run folders in it."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Write the page and say where it is."""
        from policy_distill.report.write import write_report

        path = write_report(self.folder)
        record = {"report": str(path), "n_bytes": path.stat().st_size}
        Output(self.json).show(record, [(path, f"{record['n_bytes']:,} bytes")])
        return 0
