"""Keeps stdout for answers: what environments and libraries print there goes to stderr while a command runs.

In: text that a command answers with. Out: it alone on stdout. Simulators print from C as well as from Python, so that
the descriptor itself leads elsewhere meanwhile, of processes that are started too.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

_STREAMS: list[TextIO] = []
"""Where answers go while a command runs, the innermost last."""


def answer(text: str) -> None:
    """Print an answer on stdout."""
    print(text, file=_STREAMS[-1] if _STREAMS else sys.stdout)


@contextlib.contextmanager
def stdout_for_answers() -> Iterator[None]:
    """Within, only `answer` writes to stdout; all else that is written there goes to stderr.

    Raises:
        BrokenPipeError: where whoever reads the answers has left.
    """
    before = sys.stdout
    before.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:
        # A process without stdout or stderr, as a daemon is: there is nothing to keep apart.
        kept = None
    # Where stdout is no descriptor (in a notebook, in a test), answers go to what stands in for it.
    stream = before
    if kept is not None and _leads_to_stdout(before):
        stream = open(kept, "w", encoding=before.encoding, errors="replace", closefd=False)
    _STREAMS.append(stream)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
        stream.flush()
    finally:
        _STREAMS.pop()
        if kept is not None:
            os.dup2(kept, 1)
            if stream is not before:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
            os.close(kept)


def _leads_to_stdout(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):
        return False
