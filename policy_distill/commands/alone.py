"""The command line where `policy-distill-runtime` is installed alone: `info` of a student file.

In: words. Out: a command with `run`, as `cli` runs it. Python's own parser, since no other is there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from policy_distill.commands.showing.output import Output
from policy_distill.commands.showing.student_rows import describe_student, describe_tasks, rows_of
from policy_distill.commands.table import COMMANDS
from policy_distill.errors import RequestError
from policy_distill.student.file import in_run_folder, is_student_file
from policy_distill.student.many import ManyTasks
from policy_distill.student.runtime import load_student


@dataclass(frozen=True)
class InfoAlone:
    """Say what a student file holds: network, spaces, parameters, bytes, provenance."""

    path: Path
    task: str | None
    json: bool

    def run(self) -> int:
        """Describe and print.

        Raises:
            RequestError: for what is no student file.
        """
        path = in_run_folder(self.path)
        if not is_student_file(path):
            raise RequestError(
                f"expected a student.safetensors or a run folder with one, found {path}; a teacher's zip needs "
                "pip install policy-distill"
            )
        student = load_student(path)
        if self.task is not None:
            student = student.task(self.task)
        record = describe_tasks(path, student) if isinstance(student, ManyTasks) else describe_student(path, student)
        Output(self.json).show(record, rows_of(record))
        return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the whole package does."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{message}; see policy-distill --help")


def parse_alone(words: list[str]) -> InfoAlone:
    """Return the command that words ask for.

    Raises:
        RequestError: for words that are none, or a command of the whole package.
    """
    if words and words[0] in COMMANDS and words[0] != "info":
        raise RequestError(
            f"expected info, the one command of policy-distill-runtime, found {words[0]}; pip install policy-distill"
        )
    parser = _Parser(prog="policy-distill", description="Acts with students that policy-distill made.")
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser("info", help=InfoAlone.__doc__, description=InfoAlone.__doc__)
    info.add_argument("path", type=Path, help="student.safetensors or a run folder with one")
    info.add_argument("--task", help="of a student of several tasks, the one to describe")
    info.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else")
    found = parser.parse_args(words)
    return InfoAlone(found.path, found.task, found.json)
