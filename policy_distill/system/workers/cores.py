"""How many cores this process may use."""

from __future__ import annotations

import os


def n_cores() -> int:
    """Return the cores that this process may use; those of the machine where nobody can tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
