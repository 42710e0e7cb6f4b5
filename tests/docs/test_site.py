"""The site builds without a warning, links and anchors included, shows every page, and asks no other machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = {f"example_{path.stem}" for path in (ROOT / "examples").glob("*.py")}
MADE = {"gallery", *EXAMPLES, "index", "reference", "architecture", "results", "changelog", "contributing", "security"}
"""Pages that the build makes of files of the root, and of docstrings."""
LATER: set[str] = set()
"""Pages that have a place in the navigation before they are written."""


def entries(nav):
    for entry in nav:
        for below in entry.values():
            yield from entries(below) if isinstance(below, list) else [below.removesuffix(".md")]


def test_every_page_has_its_place_in_the_navigation():
    listed = list(entries(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    written = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert len(listed) == len(set(listed))
    assert written <= set(listed)
    assert set(listed) - written <= MADE | LATER


def test_every_guide_begins_with_what_you_will_have_at_its_end():
    for page in (ROOT / "docs").glob("*.md"):
        if page.stem not in LATER:
            start = page.read_text().partition("\n## ")[0]
            assert re.search(r"(At the end of this page|In ten minutes) you", start), page.name


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
def test_the_site_has_the_api_the_help_and_every_error_text(site):
    import policy_distill
    from policy_distill.commands.table import COMMANDS

    api = (site / "reference.html").read_text()
    for name in policy_distill.__all__:
        assert re.search(rf'<h3 id="policy_distill\.[\w.]*\b{name}"', api), name
    assert "Return a teacher that acts on raw observations" in api
    commands = (site / "command_line.html").read_text()
    for name in COMMANDS:
        assert f"policy-distill {name}" in commands and f'id="policy-distill-{name}"' in commands
    assert "a zip" in (site / "troubleshooting.html").read_text()
    assert (site / "search" / "search_index.json").stat().st_size > 100_000


@pytest.mark.slow
def test_a_page_loads_nothing_from_another_machine(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        # What is loaded, unlike what is linked to.
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="https?:', text), page
        assert not re.findall(r'<link[^>]*href="https?:[^>]*rel="(?:stylesheet|preconnect)', text), page
        assert 'class="mermaid"' not in text, "its renderer would be fetched"
