"""Every error text of the package, read from its source, and the heading in docs/troubleshooting.md of each."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path

GROUPS = {
    "teachers/files": "The agent's file is refused",
    "teachers": "The teacher is not understood",
    "system/hub": "The Hugging Face hub",
    "report/hub": "The Hugging Face hub",
    "environments": "The environment cannot be made",
    "environments/perturbations": "A perturbation is not understood",
    "environments/faults.py": "The environment misbehaves during a run",
    "collection": "The environment misbehaves during a run",
    "collection/trial.py": "A perturbation is not understood",
    "student": "A student's file is refused",
    "student/engines": "A student refuses to act",
    "student/runtime.py": "A student refuses to act",
    "networks": "Student, loss and teacher do not go together",
    "losses": "Student, loss and teacher do not go together",
    "families": "Student, loss and teacher do not go together",
    "training": "Student, loss and teacher do not go together",
    "evaluation": "A proof or a comparison cannot be made",
    "compression": "`compress` refuses",
    "run/finetuning": "`finetune` refuses",
    "run/critics": "Values and objectives do not fit",
    "run/checkpoints": "A run does not resume",
    "run/suite": "A suite stops",
    "run": "A setting is out of range, or two do not go together",
    "config.py": "A setting is out of range, or two do not go together",
    "commands": "A setting is out of range, or two do not go together",
    "": "A setting is out of range, or two do not go together",
    "interfaces": "A setting is out of range, or two do not go together",
    "exporters": "An export is refused",
    "tracking": "Tracking fails",
    "system/workers": "Workers and Ray",
    "collection/workers": "Workers and Ray",
    "report": "A report or a benchmark cannot be made",
    "benchmark": "A report or a benchmark cannot be made",
    "system": "Paths, disks, locks and processes",
}
"""Room, or file of a room: the heading. The longest that fits a file counts."""
RAISED = re.compile(r"(Error|Fault|Divergence|Unmanned|Misbehaviour|OtherRun|MissingCompanion)$")


def heading_of(path: str) -> str | None:
    """Return the heading that answers the errors of a file, by its path within the package; None where none does."""
    if "/" not in path:
        return GROUPS.get(path, GROUPS[""])
    fits = [room for room in GROUPS if room and (path == room or path.startswith(f"{room}/"))]
    return GROUPS[max(fits, key=len)] if fits else None


def texts(root: Path) -> dict[str, list[str]]:
    """Return the texts of every file that raises, by its path within the package; what varies stands as `…`."""
    package = root / "policy_distill"
    found: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        said = []
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and RAISED.search(_name(node.func)) and node.args:
                said.append(_template(node.args[0]))
        if said:
            found[path.relative_to(package).as_posix()] = said
    return found


def with_texts(page: str, root: Path) -> str:
    """Return the page with the list of texts at the end of each answer."""
    by_heading: dict[str, list[str]] = {}
    for path, said in texts(root).items():
        # What is `…` alone is put together elsewhere, of texts that stand there.
        by_heading.setdefault(heading_of(path) or "", []).extend(text for text in said if re.search(r"[a-z]{3}", text))
    first, *parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    made = [first]
    for part in parts:
        listed = sorted(set(by_heading.get(part.splitlines()[0].removeprefix("## "), [])), key=str.lower)
        lines = "".join(f"    - <code>{html.escape(text)}</code>\n" for text in listed)
        made.append(f'{part.rstrip()}\n\n??? note "All {len(listed)} messages"\n\n{lines}\n' if listed else part)
    return "\n".join(made)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _template(text: ast.expr) -> str:
    """Return a text with `…` for all that is known only when it is raised."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    if isinstance(text, ast.JoinedStr):
        return "".join(_template(part) for part in text.values)
    if isinstance(text, ast.BinOp) and isinstance(text.op, ast.Add):
        return _template(text.left) + _template(text.right)
    return "…"
