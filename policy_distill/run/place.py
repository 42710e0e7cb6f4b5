"""Where a run writes, as it was asked for.

In: `--out`, `--resume`, `--overwrite`. Out: the run folder, once there is something to write.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from policy_distill.run.folder import RunFolder, open_run_folder


class Place:
    """A run folder that is not opened yet, or none."""

    def __init__(self, out: str | Path | None, *, resume: bool = False, overwrite: bool = False) -> None:
        self.out = None if out is None else Path(out)
        self.resume = resume
        self.overwrite = overwrite

    @property
    def resumable(self) -> bool:
        """True where a run is to go on from a checkpoint that is there."""
        return self.resume and self.out is not None and RunFolder(self.out).resumable

    def open(self, request: dict[str, Any], scope: ExitStack) -> RunFolder | None:
        """Return the folder, this process's own within `scope`; None where nothing is written.

        `request` are the options of the command line that load the run's teacher.

        Raises:
            RequestError: for a folder that cannot be had so.
        """
        if self.out is None:
            return None
        folder = open_run_folder(self.out, request, resume=self.resume, overwrite=self.overwrite)
        scope.callback(folder.close)
        return folder
