"""What the site has beside the pages of docs/: the files of the repository's root, the help of every command, the API.

Links between pages are written as GitHub follows them, and are turned here into those of the site.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from api import reference
from help_pages import help_of_all
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebooks import example_pages, gallery
from rooms import drawn
from texts import with_texts

ROOT = Path(__file__).parents[2]
FROM_ROOT = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "RESULTS.md": "results.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Files of the root, and what they are called among the site's pages."""
MADE = {"reference.md", "gallery.md", *example_pages(ROOT)}
"""Pages that are made of other things than a text."""
INLINE = re.compile(r"<code>([^<>]*)</code>")
"""Code within a sentence; blocks have marks of their own inside."""
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation what is not written yet."""
    config.nav = _there(config.nav, Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file of docs/ holds."""
    for name, page in FROM_ROOT.items():
        if (ROOT / name).is_file():
            text = (ROOT / name).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=_links(text, PurePosixPath(name))))
    page, reports = gallery(ROOT)
    made = {"reference.md": reference(ROOT), "gallery.md": page, **example_pages(ROOT)}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    for name, report in reports.items():
        # In place of what is kept, which is without its plotting library.
        if kept := files.get_file_from_path(name):
            files.remove(kept)
        files.append(File.generated(config, name, content=report))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files outside of docs/ into the site's, and write what is made at the build."""
    if page.file.src_uri == "architecture.md":
        markdown = re.sub(r"```mermaid\n(.*?)```", lambda match: drawn(match[1]), markdown, flags=re.DOTALL)
    if page.file.src_uri == "command_line.md":
        markdown += help_of_all()
    if page.file.src_uri == "troubleshooting.md":
        markdown = with_texts(markdown, ROOT)
    if page.file.src_uri in FROM_ROOT.values():
        return markdown
    return _links(markdown, PurePosixPath("docs") / page.file.src_uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Keep the words of code within a sentence together: a browser would break `--env` behind its dashes."""

    def kept(match: re.Match[str]) -> str:
        words = [
            f'<span class="word">{word}</span>' if "-" in word and len(word) < 28 else word
            for word in match[1].split(" ")
        ]
        return f"<code>{' '.join(words)}</code>"

    return INLINE.sub(kept, html)


def _links(markdown: str, source: PurePosixPath) -> str:
    """Return a text with its links to files of the repository as links to pages, or as text where there is no page."""

    def turned(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        parts: list[str] = []
        for part in (source.parent / target).parts:
            if part != "..":
                parts.append(part)
            elif parts:
                parts.pop()
        path = "/".join(parts)
        if path in FROM_ROOT:
            return f"{match[1]}{FROM_ROOT[path]}{match[3]}"
        if source.name == "CHANGELOG.md" and not (ROOT / path).exists():
            return "]{.file}"  # a page that was there, or is to come: what was written stays
        if path.startswith("docs/") and (path.endswith(".md") or "pictures/" in path):
            return f"{match[1]}{path.removeprefix('docs/')}{match[3]}"
        return f"]({match[2]}{match[3]}" if path not in _plain() else "]{.file}"

    return _without_file_links(LINK.sub(turned, markdown))


def _plain() -> set[str]:
    """Return what the repository has and the site has not: files and folders that are named and not shown."""
    named = {path.relative_to(ROOT).as_posix() for path in ROOT.iterdir()}
    return named | {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*") if path.suffix != ".md"}


def _without_file_links(markdown: str) -> str:
    return re.sub(r"\[([^\[\]]+)\]\{\.file\}", r"\1", markdown)


def _there(nav: Any, folder: Path) -> Any:
    made = {*FROM_ROOT.values(), *MADE}
    if isinstance(nav, list):
        kept = [_there(entry, folder) for entry in nav]
        return [entry for entry in kept if entry]
    if isinstance(nav, dict):
        return {name: below for name, entry in nav.items() if (below := _there(entry, folder))}
    return nav if nav in made or (folder / nav).is_file() else None
