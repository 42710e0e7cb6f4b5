"""Ties a process to the one that started it: `python -m policy_distill.run.suite.leash PARENT COMMAND …`.

In: the parent's number and a command. Out: that command in this process, which is asked to end when the parent dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

SET_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of Linux; it outlives the exec below."""


def leashed(command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` on a leash of this process."""
    return [sys.executable, "-m", "policy_distill.run.suite.leash", str(os.getpid()), *command]


def become(arguments: Sequence[str]) -> None:
    """Become the command, which SIGTERM is sent to when its parent dies."""
    parent, *command = arguments
    if sys.platform == "linux":
        # A suite or a worker that was killed tells its cells nothing; they would go on in folders that a retry needs.
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, int(signal.SIGTERM))
        if os.getppid() != int(parent):
            sys.exit("the process that started this one has died")
    os.execvp(command[0], command)


if __name__ == "__main__":
    become(sys.argv[1:])
