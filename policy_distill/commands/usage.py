"""What is wrong with a command line, in one line.

In: tyro's framed message of many lines. Out: what was found, what is near, and where the help is.
"""

from __future__ import annotations

import difflib
import re

FRAME = "─│╭╮╰╯"
SIMILAR = ("Perhaps you meant", "Arguments similar to")


def usage_line(framed: str) -> str:
    """Return the message without its frame, its title and the help texts of the options that it names."""
    plain = [line.strip().strip("│").strip() for line in framed.splitlines()]
    parts: list[list[str]] = [[]]
    for line in plain:
        if line and not line.strip(FRAME):
            parts.append([])
        elif line and line[0] not in FRAME:
            parts[-1].append(line)
    said = [_said(part) for part in parts if part]
    return "; ".join(part for part in said if part) or "the command line cannot be read; see policy-distill --help"


def unknown_command(word: str, commands: list[str]) -> str:
    """Return the message for a first word that is no command: the nearest, or all of them."""
    near = difflib.get_close_matches(word, commands, n=2)
    advice = f"perhaps {' or '.join(near)}; " if near else ""
    return f"expected a command among {', '.join(commands)}, found {word!r}; {advice}see policy-distill --help"


def _said(part: list[str]) -> str:
    first = part[0]
    if first.startswith(SIMILAR):
        # The nearest alone: each name comes with its help, for every command that has it.
        names = [name for name in _options(part) if name != "--help"]
        return f"perhaps {', '.join(names)}"
    if first.startswith("Argument helptext"):
        return ""
    if first.startswith("Missing from"):
        names = _options(part) or [part[1].split()[0]]
        return f"expected {', '.join(names)}, which {first.split()[-1].rstrip(':')} needs"
    if first.startswith("For full helptext"):
        command = re.search(r"policy-distill.*", " ".join(part))
        return f"see {command.group()}" if command else ""
    return " ".join(part).rstrip(".")


def _options(part: list[str]) -> list[str]:
    return list(dict.fromkeys(line.split()[0] for line in part[1:] if line.startswith("--")))
