"""The wheels that are released, built once for all that tries them."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("policy_distill", "runtime", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Return the wheels that are released: of the runtime, for every machine, and of the rest."""
    folder = tmp_path_factory.mktemp("wheels")
    source, found = folder / "source", folder / "wheels"
    source.mkdir()
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            left_out = shutil.ignore_patterns("__pycache__", "build", "*.egg-info", "*.so")
            shutil.copytree(ROOT / name, source / name, ignore=left_out)
        else:
            shutil.copy(ROOT / name, source / name)
    # What is installed here builds, where it is new enough; else pip fetches what does.
    recent = int(version("setuptools").split(".")[0]) >= 77
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *["--no-build-isolation"] * recent]
    for project, variable in (("runtime", "POLICY_DISTILL_PURE"), (".", "POLICY_DISTILL_SPLIT")):
        env = {**os.environ, variable: "1"}
        subprocess.run([*build, "-w", str(found), f"./{project}"], cwd=source, env=env, check=True)
    return {re.match(r"\w+?(?=-)", path.name)[0]: path for path in found.iterdir()}
