"""Which files of the package the distribution `policy-distill-runtime` has: what a student needs to act.

In: the folder of the repository. Out: modules by name. Both `setup.py` files ask here, so no file is in two wheels.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("interfaces", "student", "system")
"""Whole rooms: what they import late is there too."""
ENTRIES = ("policy_distill.__init__", "policy_distill.__main__", "policy_distill.cli", "policy_distill.commands.alone")
"""Modules that are there with all that they import when they are imported."""


def runtime_modules(root: Path) -> dict[str, Path]:
    """Return the file of each module of the runtime; that of a package is called `package.__init__`."""
    package = root / "policy_distill"
    there = {".".join(path.relative_to(root).with_suffix("").parts): path for path in package.rglob("*.py")}
    waiting = [*ENTRIES, *(name for name in there if name.split(".")[1] in ROOMS)]
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name in there and name not in found:
            found[name] = there[name]
            waiting += [*imported(there[name]), f"{name.removesuffix('.__init__').rpartition('.')[0]}.__init__"]
        elif f"{name}.__init__" in there:
            waiting.append(f"{name}.__init__")
    return dict(sorted(found.items()))


def imported(path: Path) -> Iterator[str]:
    """Yield what a file imports as it is imported: nothing inside of functions, nothing for type checkers alone."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
