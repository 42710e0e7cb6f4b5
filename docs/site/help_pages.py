"""The help of every command, as it is printed, for the page of the command line."""

from __future__ import annotations

import contextlib
import io
import os

from policy_distill.cli import main
from policy_distill.commands.table import COMMANDS


def help_of(name: str) -> str:
    """Return what `policy-distill NAME --help` prints, 90 columns wide and without colours."""
    said = io.StringIO()
    os.environ.update({"COLUMNS": "90", "NO_COLOR": "1", "TERM": "dumb"})
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([name, "--help"])
    return "\n".join(line.rstrip() for line in said.getvalue().splitlines())


def help_of_all() -> str:
    """Return Markdown: a heading and a block for each command."""
    parts = [f"\n### policy-distill {name}\n\n```text\n{help_of(name)}\n```\n" for name in COMMANDS]
    return "\n## Every option\n\nWhat `--help` prints for each command.\n" + "".join(parts)
