"""The notebooks of examples/ as pages: their text, and their cells as blocks."""

from __future__ import annotations

import re
from pathlib import Path

REPORTS = {
    "distil": ("A student of LunarLander", "`distill` into `mlp:16`, 20,000 steps at most"),
    "compress": ("The smallest student of CartPole", "`compress` to 95% of the gain of a QR-DQN agent"),
    "tree": ("A tree that can be read", "`distill` into `tree:8`, drawn whole"),
}
"""Reports of the gallery by file name: title, and what was run."""


def example_pages(root: Path) -> dict[str, str]:
    """Return the pages by name: `example_NAME.md`."""
    return {f"example_{path.stem}.md": _page(path) for path in sorted((root / "examples").glob("*.py"))}


def gallery(root: Path) -> tuple[str, dict[str, Path]]:
    """Return the page of the gallery, and the reports that `make gallery` left to be shown on it."""
    folder = root / "build" / "gallery"
    there = {f"gallery/{name}.html": folder / f"{name}.html" for name in REPORTS if (folder / f"{name}.html").is_file()}
    lines = ["# Gallery", "", "Reports of three runs, as every run folder has one: a page that needs no network.", ""]
    lines += ["| report | what was run |", "|---|---|"]
    for name, (title, said) in REPORTS.items():
        shown = f'<a href="gallery/{name}.html">{title}</a>' if f"gallery/{name}.html" in there else title
        lines.append(f"| {shown} | {said} |")
    if len(there) < len(REPORTS):
        lines += [
            "",
            "They are too large to be kept in the repository: `make gallery docs` makes the runs, and the links.",
        ]
    return "\n".join(lines) + "\n", there


def _page(path: Path) -> str:
    parts = re.split(r"^# %%(.*)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    made = []
    for kind, body in zip(parts[1::2], parts[2::2], strict=True):
        text = body.strip()
        if "markdown" in kind:
            made.append("\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines()))
        else:
            made.append(f"```python\n{text}\n```")
    source = f"This page is the notebook `examples/{path.name}`."
    return "\n\n".join([*made[:1], source, *made[1:]]) + "\n"
