"""Every error text of the package has an answer in docs/troubleshooting.md."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()


def load():
    spec = importlib.util.spec_from_file_location("error_texts", ROOT / "docs" / "site" / "texts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_error_text_is_without_an_answer():
    site = load()
    headings = dict(re.findall(r"^## (.+)\n\n((?:(?!^## ).*\n?)+)", PAGE, flags=re.MULTILINE))
    found = site.texts(ROOT)
    assert sum(map(len, found.values())) > 400
    for path in found:
        heading = site.heading_of(path)
        assert heading is not None, f"{path} raises, and its room has no line in GROUPS of docs/site/texts.py"
        assert len(headings[heading].split()) > 15, f"{heading}: an answer"
    assert set(headings) == set(site.GROUPS.values()), "no answer without a question"


def test_the_list_has_what_varies_left_out_and_all_else():
    site = load()
    listed = site.with_texts(PAGE, ROOT)
    assert "expected a loss among auto, …, found …" in listed
    assert listed.count("??? note") > 15
