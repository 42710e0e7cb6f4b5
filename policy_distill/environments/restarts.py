"""How often environments may be restarted in a run, counted over all that step them: here and in a process beside.

In: a limit. Out: permissions, one at a time, and how many were given.
"""

from __future__ import annotations

import mmap


class Restarts:
    """A limit that collecting, judging and proving share; a forked process counts in the same memory."""

    def __init__(self, allowed: int, counts: memoryview | None = None, part: int = 0) -> None:
        """Allow so many in all; `counts` are those of another part of the same run."""
        self.allowed = allowed
        self._counts = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q") if counts is None else counts
        self._part = part

    @property
    def n(self) -> int:
        """Restarts made so far, in all parts of the run."""
        return self._counts[0] + self._counts[1]

    @property
    def n_here(self) -> int:
        """Those of this part: of the distillation itself, they are a function of its steps alone."""
        return self._counts[self._part]

    def go_on(self, n_here: int) -> None:
        """Go on from where a checkpoint was written."""
        self._counts[self._part] = n_here

    def beside(self) -> Restarts:
        """Return the part of what runs beside, with the same limit."""
        return Restarts(self.allowed, self._counts, 1)

    def take(self) -> bool:
        """Count one and return True, or return False where none is left."""
        # Counted before it is asked for: two processes that take the last one at once both do without.
        self._counts[self._part] += 1
        if self.n <= self.allowed:
            return True
        self._counts[self._part] -= 1
        return False
