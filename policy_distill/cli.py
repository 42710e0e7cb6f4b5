"""The command `policy-distill`: parses, runs one subcommand, and turns errors into exit statuses.

0 done; 1 a failure of ours; 2 the request is wrong; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from policy_distill.commands.table import COMMANDS, find_command, outline
from policy_distill.commands.usage import unknown_command, usage_line
from policy_distill.errors import RequestError, RunFault, one_line
from policy_distill.system.answers import stdout_for_answers
from policy_distill.system.blame import VARIABLE, culprit, show_traceback
from policy_distill.system.interrupts import terminated_like_interrupted
from policy_distill.system.version import __version__

DESCRIPTION = "Distil a Stable-Baselines3 agent into the smallest, fastest policy that keeps its return."


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    if (sys.argv[1:] if arguments is None else arguments) == ["--version"]:
        print(f"policy-distill {__version__}")
        return 0
    return guarded(lambda: _run(_parse(arguments)))


def guarded(call: Callable[[], int | None]) -> int:
    """Return the exit status of `call`, errors said in one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a letter shows another, and a path may be no text at all: no fault of the run.
            stream.reconfigure(errors="replace")
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        return call() or 0
    except RequestError as error:
        show_traceback()
        return _say(str(error), 2)
    except RunFault as error:
        show_traceback()
        return _say(str(error), 1)
    except KeyboardInterrupt as interrupt:
        return _say(str(interrupt) or "interrupted", 130)
    except BrokenPipeError:
        # The reader of our output left (as `head` does); what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            # A path that was named, or one below it: its name is too long, its folder is closed, its disk is full.
            advice = "check the path, its permissions and the room on its disk"
            return _say(f"{error.filename} cannot be used ({error.strerror}); {advice}", 2)
        if (said := culprit(error)) is not None:
            show_traceback()
            advice = f"fix it (it is not part of policy-distill; {VARIABLE}=1 shows the whole traceback)"
            return _say(f"code that the run called failed: {said}; {advice}", 1)
        traceback.print_exc()
        return _say("this is a fault of policy-distill; please report it with the lines above", 1)


def _run(command: Any) -> int | None:
    """Run a command with stdout kept for its answer; SIGTERM ends it as SIGINT does."""
    with stdout_for_answers(), terminated_like_interrupted():
        code: int | None = command.run()
    return code


def _parse(arguments: list[str] | None) -> Any:
    words = sys.argv[1:] if arguments is None else arguments
    if find_spec("policy_distill.commands.info") is None:
        # policy-distill-runtime alone is installed, which has one command and no parser of others.
        from policy_distill.commands.alone import parse_alone

        return parse_alone(words)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        _say(unknown_command(words[0], list(COMMANDS)), 2)
        raise SystemExit(2)
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            form = tyro.extras.subcommand_cli_from_dict(
                {name: _form(name, words) for name in COMMANDS},
                prog="policy-distill",
                description=DESCRIPTION,
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if end.code != 2:
            raise
        _say(usage_line(said.getvalue()), 2)
        raise
    return form.make()


def _form(name: str, words: list[str]) -> Any:
    """Return what tyro asks for of a command: all of its options where it was named, or a shell is to complete them."""
    if not words or (words[0] != name and not words[0].startswith("--tyro")):
        return outline(name, said=not words or words[0] not in COMMANDS)
    from policy_distill.commands.showing.panels import with_panels

    return with_panels(find_command(name))


def _say(message: str, status: int) -> int:
    print(f"policy-distill: {one_line(message)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
