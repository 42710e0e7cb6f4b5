"""The reports of the gallery are in the repository: what a run writes today, without the library, and of no machine."""

import importlib.util
import json
import re
import sys
from html import unescape
from pathlib import Path

import pytest

from policy_distill.report.library import plotting_script
from policy_distill.report.page import PLACE_OF_LIBRARY, POLICY, with_library, without_library
from policy_distill.report.style import DRAW, STYLE

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "gallery").glob("*"))
AGAIN = "make gallery makes them again"


def site_gallery():
    spec = importlib.util.spec_from_file_location("notebooks_of_the_site", ROOT / "docs" / "site" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.REPORTS, *module.gallery(ROOT)


def test_the_site_shows_each_report_with_its_library():
    titles, page, reports = site_gallery()
    assert [path.name for path in PAGES] == sorted(f"{name}.html" for name in titles)
    assert set(reports) == {f"gallery/{name}.html" for name in titles}
    for path in PAGES:
        assert f'<a href="gallery/{path.name}">' in page
        whole = reports[f"gallery/{path.name}"]
        assert len(whole) > len(plotting_script()) and PLACE_OF_LIBRARY not in whole
        assert without_library(whole) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_kept_report_is_of_today_s_form_small_and_of_no_machine(path):
    page = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 300_000
    for part in (f'content="{POLICY}"', f"<style>{STYLE}</style>", f"<script>{DRAW}</script>"):
        assert part in page, AGAIN
    assert page.count(PLACE_OF_LIBRARY) == 1
    charts = json.loads(re.search(r'<script type="application/json" id="specs">(.*?)</script>', page)[1])
    assert len(charts) == len(re.findall(r"id=chart\d+", page)) > 4
    text = unescape(page.replace(STYLE, "").replace(DRAW, ""))
    # What stands in front of a slash is a name of ours; a path of a machine begins with one.
    assert not re.findall(r"""(?<![\w.<*])/(?:[\w.-]+/)+[\w.-]+""", re.sub(r"https?://\S+", "", text))
    for name in (str(Path.home()), str(ROOT), sys.prefix):
        assert len(name) < 4 or name not in page
    command = unescape(re.search(r"<h2>Make it again</h2><pre>(.*?)</pre>", page)[1])
    assert "--teacher zoo/" in command and "--out runs/" in command


def test_the_library_is_taken_out_and_put_back():
    page = with_library(f"<p>before</p>{PLACE_OF_LIBRARY}<p>after</p>")
    assert plotting_script()[:40] in page and without_library(page) == f"<p>before</p>{PLACE_OF_LIBRARY}<p>after</p>"
    assert without_library("<p>no charts</p>") == "<p>no charts</p>"
