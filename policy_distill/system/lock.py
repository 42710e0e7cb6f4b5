"""A run folder belongs to one process at a time: two would write each other's lines and checkpoints.

In: a folder. Out: a lock that ends with the process, however that ends.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from policy_distill.errors import RequestError

NAME = ".lock"
"""The file that is locked; it is there while a run is, and may be left by one that was killed."""


class FolderLock:
    """Held from its making until `close`."""

    def __init__(self, folder: Path) -> None:
        """Lock an existing folder.

        Raises:
            RequestError: where another process holds it.
        """
        self._path = folder / NAME
        self._file: IO[bytes] | None = None
        try:
            import fcntl
        except ImportError:
            # Windows has no such lock.
            return
        while self._file is None:
            file = self._path.open("ab")
            try:
                # Not `flock`: processes that were forked off, and outlive a killed run for a moment, would hold that.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                file.close()
                raise RequestError(
                    f"expected a run folder of its own, found another process at work in {folder}; wait for it, or "
                    "choose another --out"
                ) from None
            except OSError:
                # Some network file systems lock nothing.
                file.close()
                return
            # The one who held it may have removed the name in between.
            if self._is_named(file):
                self._file = file
            else:
                file.close()

    def close(self) -> None:
        """Let others have the folder."""
        if self._file is not None:
            with suppress(OSError):
                # The folder may be gone, or can no longer be written.
                self._path.unlink()
            self._file.close()
            self._file = None

    def _is_named(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(file.fileno()))
        except OSError:
            return False
