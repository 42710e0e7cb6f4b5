"""The page of the API: directives for mkdocstrings, which reads the docstrings without importing anything."""

from __future__ import annotations

import ast
import re
from pathlib import Path


def public_names(root: Path) -> dict[str, str]:
    """Return the names of `policy_distill` and the modules that define them, in the order of a user's day."""
    tree = ast.parse((root / "policy_distill" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "_HOMES":
            homes: dict[str, str] = ast.literal_eval(node.value)
            return {name: module for name, module in homes.items() if not name.startswith("_")}
    raise LookupError("policy_distill/__init__.py has no _HOMES")


def contracts(root: Path) -> list[str]:
    """Return what `policy_distill.interfaces` exports, as dotted names of where each is defined."""
    text = (root / "policy_distill" / "interfaces" / "__init__.py").read_text(encoding="utf-8")
    found = []
    for module, names in re.findall(r"^from (policy_distill\.interfaces\.\w+) import ([^(\n]+|\([^)]*\))", text, re.M):
        listed = re.sub(r"#.*", "", names).strip("()").split(",")
        found += [f"{module}.{name.split(' as ')[0].strip()}" for name in listed if name.strip()]
    return sorted(found)


def reference(root: Path) -> str:
    """Return the page's Markdown."""
    lines = [
        "# API",
        "",
        "What `policy_distill` exports, from its docstrings. [In Python](python.md) has it by task.",
        "",
    ]
    lines += ["## Functions and settings", ""]
    lines += [f"::: {module}.{name}\n" for name, module in public_names(root).items()]
    more = ["policy_distill.student.runtime.Student", "policy_distill.run.result.DistillResult"]
    lines += ["## What they return", "", *(f"::: {name}\n" for name in more)]
    lines += ["## Contracts", "", "What a part of your own has to have: [Extend](extending.md).", ""]
    lines += [f"::: {name}\n" for name in contracts(root)]
    return "\n".join(lines)
