"""A release: one version everywhere, an archive and a wheel that the index would take, and the wheel alone works."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_one_version_everywhere():
    newest = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert newest[1] == VERSION == citation["version"]
    assert newest[2] == citation["date-released"]


def test_versions_of_the_change_log_fall_and_have_their_headings():
    parts = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    # What comes with the next release stands first.
    released = parts[1:] if parts[0].startswith("Unreleased\n") else parts
    versions = [tuple(map(int, part.split()[0].split("."))) for part in released]
    assert versions == sorted(versions, reverse=True)
    for part in parts:
        assert set(re.findall(r"^### (.+)$", part, flags=re.MULTILINE)) <= {
            "Breaking",
            "Changed",
            "New",
            "Fixed",
            "Others",
        }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The archive, and the wheel that is made of it, as an index would have them."""
    pytest.importorskip("build")
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (archive,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return archive, wheel


@pytest.mark.slow
def test_what_is_built_would_be_taken_by_an_index(built):
    pytest.importorskip("twine")
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *built], capture_output=True, text=True)
    assert done.returncode == 0 and "PASSED" in done.stdout, done.stdout + done.stderr
    assert all(VERSION in path.name for path in built)


@pytest.mark.slow
def test_the_wheel_alone_has_a_command_that_works(built, tmp_path):
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python = tmp_path / "fresh" / "bin" / "python"
    # Dependencies are those of this environment; the package is the wheel's, which comes first.
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(built[1])],
        check=True,
    )
    (site,) = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    paths = [path for path in sys.path if path.endswith("-packages") and not path.startswith(str(tmp_path))]
    (site / "dependencies.pth").write_text("\n".join([*paths, sysconfig.get_paths()["purelib"]]) + "\n")
    command = tmp_path / "fresh" / "bin" / "policy-distill"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words):
        done = subprocess.run([command, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == f"policy-distill {VERSION}\n"
    assert "distil" in run("--help").lower()
    code = "import policy_distill, policy_distill.student.engines._native as native; print(policy_distill.__file__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(tmp_path))
    run("train", "--env", "CartPole-v1", "--timesteps", "256", "--net-arch", "8", "--n-envs", "1", "--out", "agent.zip")
    assert "ppo" in run("info", "agent.zip").lower()
