"""The notebooks of examples/ run from their first cell to their last, with fewer steps."""

import re
import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_the_list_names_every_notebook():
    listed = re.findall(r"\]\((\w+)\.py\)", (EXAMPLES / "README.md").read_text())
    assert sorted(listed) == NOTEBOOKS


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name, zoo, tmp_path, monkeypatch, capsys):
    jupytext = pytest.importorskip("jupytext")
    if name == "deploy_to_c" and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    monkeypatch.chdir(tmp_path)
    notebook = jupytext.read(EXAMPLES / f"{name}.py")
    names = {"__name__": "__main__"}
    assert notebook.cells[0].cell_type == "markdown" and "At the end of this notebook" in notebook.cells[0].source
    for cell in notebook.cells:
        if cell.cell_type == "code":
            code = cell.source.replace("STEPS = 20_000", "STEPS = 2_000").replace("STEPS = 5_000", "STEPS = 1_000")
            exec(compile(code, name, "exec"), names)
    said = capsys.readouterr().out
    expected = {
        "distil_a_zoo_agent": r"4,996 parameters, ppo[\s\S]*Retention\([\s\S]*parameters, a return of",
        "find_the_smallest": r"linear +\d+ parameters[\s\S]*parameters",
        "deploy_to_c": r"(\d+) of \1 recorded actions are equal",
    }
    assert re.search(expected[name], said), said
