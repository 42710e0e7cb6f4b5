"""The README, docs/command_line.md and the pages that list names: what is shown works, and all is shown."""

import os
import re
import shlex
from pathlib import Path

import pytest

import policy_distill
from policy_distill.commands.table import COMMANDS
from policy_distill.losses.table import LOSSES
from policy_distill.networks.table import KINDS
from tests.docs.blocks import QUICK, ROOT, Reader, blocks, lines, understood

README = (ROOT / "README.md").read_text()
PAGES = [f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))]


def page(name):
    return (ROOT / "docs" / name).read_text()


def shell(path):
    return [line for language, code in blocks(path) if language in ("bash", "sh") for line in lines(code)]


@pytest.mark.slow
def test_the_readme_works_as_written_and_shows_what_compress_prints(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LunarLander-v2.zip").symlink_to(zoo / "ppo-LunarLander-v2" / "LunarLander-v2.zip")
    # compress runs in full, so that its table is the one that is shown.
    reader = Reader(tmp_path, quick={"compress": {"--track": "disabled"}}, swaps=(("50_000", "2_000"),))
    said = reader.follow("README.md")
    assert "Retention(iqm=" in said
    assert reader.names["action"] in range(4)
    assert (tmp_path / "runs/lander/student.safetensors").stat().st_size > 1000


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_every_command_and_every_public_name_is_shown():
    shown = "\n".join(shell("docs/command_line.md"))
    assert {word for word in re.findall(r"policy-distill (\w+)", shown)} == set(COMMANDS)
    for name in policy_distill.__all__:
        assert f"`{name}" in page("python.md"), name
    for name in LOSSES:
        assert f"`{name}" in page("how_it_learns.md"), name
    for kind in KINDS:
        assert f"`{kind}" in page("students.md"), kind


def test_what_is_named_exists():
    for path in ("README.md", *PAGES):
        for name in re.findall(r"python -m experiments\.([\w.]+)", (ROOT / path).read_text()):
            assert (ROOT / "experiments" / f"{name.rstrip('.').replace('.', '/')}.py").exists(), f"{path}: {name}"
    tree = (ROOT / "ARCHITECTURE.md").read_text()
    paths = re.findall(r"^  (\w+(?:\.py|/))", tree, flags=re.MULTILINE)
    assert len(paths) > 15
    for path in paths:
        assert (ROOT / "policy_distill" / path).exists()


@pytest.mark.parametrize("path", ["README.md", *PAGES])
def test_every_command_is_understood(path, monkeypatch):
    monkeypatch.setenv("POLICY_DISTILL_ZOO", os.environ.get("POLICY_DISTILL_ZOO", "zoo"))
    for line in shell(path):
        understood(line)


ANCHOR = re.compile(r"[^\w\- ]")


def anchors(path):
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), flags=re.MULTILINE)
    return {ANCHOR.sub("", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", *PAGES])
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", (ROOT / path).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(\s*([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = ((ROOT / path).parent / name).resolve() if name else ROOT / path
        assert found.exists() and found.is_relative_to(ROOT), f"{path}: {target}"
        assert not anchor or anchor in anchors(Path(found)), f"{path}: {target}"


# What W&B's workspaces are made of is of an older pydantic.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
def test_the_commands_work_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = {
        # A student that keeps its proof, which `push` and `compare` read.
        "distill": {"--timesteps": "1024", "--eval-episodes": "4", "--select-episodes": "2"},
        "finetune": {**QUICK["finetune"], "--critic-steps": "0", "--timesteps": "1024"},
    }
    Reader(tmp_path, quick).follow("docs/command_line.md")
    for made in (
        "teacher.zip",
        "runs/cartpole/student.safetensors",
        "runs/cartpole/policy/policy.c",
        "runs/report.html",
    ):
        assert (tmp_path / made).exists()
    shown = [code for language, code in blocks("docs/command_line.md") if language == "bash"]
    assert shlex.split(lines(shown[0])[0])[1] == "train"
