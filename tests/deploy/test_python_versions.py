"""Each Python that a wheel claims: all of its code compiles there, and the runtime acts there as here."""

import json
import os
import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.students import make_student

ROOT = Path(__file__).parents[2]
PYENV = Path.home() / ".pyenv" / "versions"
MINORS = (10, 11, 12, 13)
KINDS = (("vector", "discrete", "mlp:16,8", "tanh"), ("vector", "gaussian", "gru:8", "tanh"))


def claimed(project):
    """Return the oldest minor version that a project claims, and those that it lists."""
    said = tomllib.loads((ROOT / project / "pyproject.toml").read_text())["project"]
    listed = [int(one) for one in re.findall(r"Python :: 3\.(\d+)", "\n".join(said["classifiers"]))]
    return int(re.fullmatch(r">=3\.(\d+)", said["requires-python"])[1]), listed


def interpreter(minor):
    """Return a Python of this version; the test is skipped where there is none."""
    beside = sorted(PYENV.glob(f"3.{minor}.*/bin/python")) if PYENV.is_dir() else []
    for path in (*beside, shutil.which(f"python3.{minor}")):
        if path and run(path, "-c", "import sys, venv; print(sys.version_info[1])").stdout.strip() == str(minor):
            return str(path)
    pytest.skip(f"there is no Python 3.{minor} here")


def run(*words, cwd=None, text=None):
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env=env, input=text, capture_output=True, text=True, check=False
    )


COMPILES = """
import json, sys
for path in json.load(sys.stdin):
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
"""


def test_what_is_claimed_is_what_is_tried():
    for project in (".", "runtime"):
        oldest, listed = claimed(project)
        assert listed == list(range(oldest, max(MINORS) + 1)) and oldest >= min(MINORS), project


@pytest.mark.parametrize("minor", MINORS)
def test_all_that_is_installed_there_compiles(minor):
    python = interpreter(minor)
    whole = [*(ROOT / "policy_distill").rglob("*.py")]
    runtime = runpy.run_path(str(ROOT / "runtime" / "contents.py"))["runtime_modules"](ROOT).values()
    files = whole if minor >= claimed(".")[0] else runtime
    assert len(list(files)) > 100
    done = run(python, "-c", COMPILES, text=json.dumps([str(path) for path in files]))
    assert done.returncode == 0, done.stderr


ACTS = """
import sys
import numpy as np
from policy_distill import load_student

for path in sys.argv[1:]:
    policy = load_student(path + ".safetensors", runtime="numpy")
    assert policy.act(np.load("obs.npy")[0]).shape == np.load(path + ".npy")[0].shape
    policy.reset()
    found = np.array([policy.act(obs) for obs in np.load("obs.npy")])
    assert np.allclose(found, np.load(path + ".npy"), atol=1e-6), path
print(sys.version_info[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("minor", MINORS)
def test_the_runtime_is_installed_and_acts_as_the_whole_package_does_here(minor, wheels, tmp_path):
    python, folder = interpreter(minor), tmp_path / "venv"
    assert run(python, "-m", "venv", folder).returncode == 0
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if run(*pip, "--only-binary", ":all:", "numpy", "safetensors").returncode:
        pytest.skip("no index has NumPy for it here")
    done = run(*pip, "--no-index", wheels["policy_distill_runtime"])
    assert done.returncode == 0, done.stderr
    obs = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    np.save(tmp_path / "obs.npy", obs)
    for number, kind in enumerate(KINDS):
        student = make_student(kind)
        student.save(tmp_path / f"{number}.safetensors")
        np.save(tmp_path / f"{number}.npy", np.array([student.act(one) for one in obs]))
    done = run(python, "-c", ACTS, *map(str, range(len(KINDS))), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(minor)]
    info = run(folder / "bin" / "policy-distill", "info", "0.safetensors", "--json", cwd=tmp_path)
    assert json.loads(info.stdout)["network"] == "mlp:16,8"
