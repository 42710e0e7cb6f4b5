"""The notebooks of examples/ as pages: their text, and their cells as blocks."""

from __future__ import annotations

import re
from pathlib import Path

from policy_distill.report.page import with_library

REPORTS = {
    "distil": ("A student of LunarLander", "`distill` into `mlp:16`, 20,000 steps at most"),
    "compress": ("The smallest student of CartPole", "`compress` to 95% of the gain of a QR-DQN agent"),
    "tree": ("A tree that can be read", "`distill` into `tree:8`, drawn whole"),
}
"""Reports of the gallery by file name: title, and what was run."""


def example_pages(root: Path) -> dict[str, str]:
    """Return the pages by name: `example_NAME.md`."""
    return {f"example_{path.stem}.md": _page(path) for path in sorted((root / "examples").glob("*.py"))}


def gallery(root: Path) -> tuple[str, dict[str, str]]:
    """Return the page of the gallery, and its reports, each with the plotting library, by name."""
    lines = ["# Gallery", "", "Reports of three runs. Every run folder has such a page; it needs no network.", ""]
    lines += ["| report | what was run |", "|---|---|"]
    reports = {}
    for name, (title, said) in REPORTS.items():
        page = (root / "docs" / "gallery" / f"{name}.html").read_text(encoding="utf-8")
        reports[f"gallery/{name}.html"] = with_library(page)
        lines.append(f'| <a href="gallery/{name}.html">{title}</a> | {said} |')
    lines += ["", "`make gallery` makes them again, from agents of the RL Zoo."]
    return "\n".join(lines) + "\n", reports


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
