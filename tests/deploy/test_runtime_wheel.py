"""policy-distill-runtime is built, installed with NumPy and safetensors beside it, and acts."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from policy_distill.commands.table import COMMANDS
from tests.students import make_student

ROOT = Path(__file__).parents[2]
CONTENTS = runpy.run_path(str(ROOT / "runtime" / "contents.py"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NEEDED = ("numpy", "safetensors")
KIND = ("vector", "discrete", "mlp:16,8", "tanh")


def test_the_runtime_has_all_that_its_modules_import_and_little_else():
    found = CONTENTS["runtime_modules"](ROOT)
    assert {"policy_distill.student.runtime", "policy_distill.cli", "policy_distill.errors"} <= set(found)
    others = set().union(*(set(CONTENTS["imported"](path)) for path in found.values()))
    own = {name for name in others if name.startswith("policy_distill.") and f"{name}.__init__" not in found}
    known = {name.removesuffix(".__init__") for name in found}
    # A name that a module defines is imported as if it were a module below it.
    assert {name for name in own if name not in known and name.rpartition(".")[0] not in known} == set()
    rooms = {name.split(".")[1] for name in found}
    assert rooms == {
        *("__init__", "__main__", "cli", "commands", "errors", "evaluation", "interfaces", "seeds", "student", "system")
    }
    others = [name for name in found if name.startswith("policy_distill.evaluation") and not name.endswith("__init__")]
    assert others == ["policy_distill.evaluation.parts.view_record"]


def files_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: one.file_size for one in archive.infolist() if ".dist-info/" not in one.filename}


def said_by(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (one for one in archive.namelist() if one.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


@pytest.mark.slow
def test_both_wheels_together_are_the_package_and_no_file_is_in_two(wheels):
    runtime, rest = files_of(wheels["policy_distill_runtime"]), files_of(wheels["policy_distill"])
    assert not set(runtime) & set(rest)
    whole = {path.relative_to(ROOT).as_posix() for path in (ROOT / "policy_distill").rglob("*.py")}
    assert {name for name in {*runtime, *rest} if name.endswith(".py")} == whole
    assert {path.name for path in (ROOT / "policy_distill/exporters/web").glob("*.[jc]s*")} == {
        Path(name).name for name in rest if not name.endswith(".py")
    }, "what a page is made of travels with its exporter"
    assert f"Requires-Dist: policy-distill-runtime=={VERSION}" in said_by(wheels["policy_distill"], "METADATA")
    required = re.findall("^Requires-Dist: (.*)", said_by(wheels["policy_distill_runtime"], "METADATA"), re.MULTILINE)
    assert [re.match(r"\w+", one)[0] for one in required] == list(NEEDED)
    assert "policy-distill = policy_distill.cli:main" in said_by(wheels["policy_distill_runtime"], "entry_points.txt")
    n_bytes = wheels["policy_distill_runtime"].stat().st_size
    print(
        f"policy-distill-runtime: {len(runtime)} files, wheel of {n_bytes:,} bytes, {sum(runtime.values()):,} unpacked"
    )
    assert n_bytes < 400_000 and wheels["policy_distill_runtime"].name.endswith("-py3-none-any.whl")


@pytest.fixture(scope="module")
def alone(wheels, tmp_path_factory):
    """Return the programs' folder of an environment with the runtime, NumPy and safetensors, and nothing else."""
    folder = tmp_path_factory.mktemp("alone") / "venv"
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in NEEDED:
        installed = distribution(name)
        for top in {Path(file).parts[0] for file in installed.files if Path(file).parts[0] != ".."}:
            (site / top).symlink_to(Path(installed.locate_file(top)).resolve())
    wheel = wheels["policy_distill_runtime"]
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    return folder / "bin"


def run(program, *words, cwd):
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run([str(program), *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


ACTS = """
import importlib.util, sys
import numpy as np
from policy_distill import __version__, load_student

assert not [name for name in ("torch", "gymnasium", "stable_baselines3", "tyro") if importlib.util.find_spec(name)]
policy = load_student("student.safetensors")
obs = np.load("obs.npy")
assert policy.act(obs[0]) == policy.predict(obs, deterministic=True)[0][0]
np.save("actions.npy", policy.predict(obs, deterministic=True)[0])
print(__version__)
try:
    from policy_distill import distill
except ValueError as error:
    print(error)
try:
    policy.observation_space
except ValueError as error:
    print(error)
try:
    policy.torch()
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_alone_it_loads_a_student_and_acts_as_the_whole_package_does(alone, tmp_path):
    student = make_student(KIND)
    student.save(tmp_path / "student.safetensors")
    obs = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    np.save(tmp_path / "obs.npy", obs)
    done = run(alone / "python", "-c", ACTS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "actions.npy"), student.predict(obs, deterministic=True)[0])
    said, *refused = done.stdout.splitlines()
    assert said == VERSION
    assert [line.partition(", found")[0] for line in refused] == [
        "expected policy-distill to be installed for distill",
        "expected Gymnasium for a student's space as an object",
        "expected policy-distill to be installed for trainable",
    ]


@pytest.mark.slow
def test_alone_its_command_describes_a_student_and_refuses_all_else_in_one_line(alone, tmp_path):
    student = make_student(KIND)
    path = student.save(tmp_path / "student.safetensors")
    program = alone / "policy-distill"
    done = run(program, "info", str(path), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n_params"] == student.n_params and found["network"] == "mlp:16,8"
    assert "mlp:16,8" in run(program, "info", str(path), cwd=tmp_path).stdout
    assert "info" in run(program, "--help", cwd=tmp_path).stdout
    assert run(program, "--version", cwd=tmp_path).stdout.split() == ["policy-distill", VERSION]
    (tmp_path / "teacher.zip").write_bytes(b"PK\x03\x04")
    for words, told in (
        [["distill"], "pip install policy-distill"],
        [["nothing"], "see policy-distill --help"],
        [["info"], "see policy-distill --help"],
        [["info", "nowhere.safetensors"], "nowhere.safetensors"],
        [["info", "teacher.zip"], "pip install policy-distill"],
        [["info", "hf://user/student"], "policy-distill[hub]"],
    ):
        done = run(program, *words, cwd=tmp_path)
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1, (words, done.stderr)
    assert "export" in COMMANDS, "the whole package has more"


@pytest.mark.slow
def test_the_whole_package_is_installed_over_it_and_leaves_it_whole(wheels, alone, tmp_path):
    """The rest goes beside the runtime, and goes again, in a copy of its environment."""
    folder = tmp_path / "venv"
    shutil.copytree(alone.parent, folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheels["policy_distill"]) as archive:
        archive.extractall(site)
    code = "import policy_distill.run.distill, policy_distill.student.runtime"
    done = run(folder / "bin" / "python", "-c", f"import sys; sys.path += {sys.path!r}\n{code}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in files_of(wheels["policy_distill"]):
        (site / name).unlink()
    done = run(folder / "bin" / "python", "-c", "from policy_distill import load_student; load_student", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
