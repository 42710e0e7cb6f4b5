"""The examples of docs/deploy.md are run as they stand."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from policy_distill.cli import main
from policy_distill.exporters.export import export
from policy_distill.student.runtime import Student
from tests.students import KINDS, make_student

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "deploy.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_examples_of_deployment_work_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    paged = shutil.which("node") is not None
    for line in "".join(blocks("bash")).splitlines():
        if "--format web" in line and not paged:
            continue
        small = line.replace("50000 --out", "2000 --eval-episodes 0 --track disabled --out")
        if line.startswith("policy-distill "):
            # In this process: starting torch for each command is most of the time that they take.
            assert main(shlex.split(small)[1:]) == 0, line
        else:
            subprocess.run(["bash", "-euc", small], check=True)
    for block in blocks("python"):
        code = f"{block}\nassert action in range(4)\n"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    written = {
        "lander",
        "lander_c",
        "lander_int8",
        "lander.onnx",
        "lander_15.onnx",
        "lander.zip",
        "lander.html",
        "policy",
    }
    assert written - (set() if paged else {"lander.html"}) <= {path.name for path in tmp_path.iterdir()}
    (example,) = blocks("c")
    setup, _, calls = example.partition("policy_reset();")
    (tmp_path / "main.c").write_text(f"{setup}\nint main(void) {{ policy_reset(); {calls} return action[0] > 3; }}\n")
    build = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Ilander_c", "main.c", "lander_c/policy.c", "-o", "main"]
    subprocess.run(build, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


HEADER = "onnxruntime_cxx_api.h"
HEADERS = next(
    (
        folder
        for folder in (os.environ.get("ONNXRUNTIME_INCLUDE", ""), "/usr/include/onnxruntime", "/usr/local/include")
        if folder and (Path(folder) / HEADER).is_file()
    ),
    None,
)
MASKED = """
bool only_last[] = {false, false, false, true};
std::array<int64_t, 2> mask_shape{1, 4};
const char *both[] = {"obs", "action_masks"};
Ort::Value values[] = {std::move(input), Ort::Value::CreateTensor<bool>(memory, only_last, 4, mask_shape.data(), 2)};
Ort::Session masked(env, "masked.onnx", Ort::SessionOptions{});
auto ruled = masked.Run(Ort::RunOptions{}, both, values, 2, outputs, 1);
std::printf("%d %d", (int)action, (int)ruled[0].GetTensorData<int64_t>()[0]);
"""


@pytest.mark.skipif(HEADERS is None, reason=f"no {HEADER}: set ONNXRUNTIME_INCLUDE to the folder that has it")
def test_the_host_in_cpp_compiles_and_acts_as_the_student(tmp_path):
    student = make_student(KINDS[0])
    export(student, tmp_path / "lander.onnx", "onnx", n_states=16)
    export(
        Student(student.tensors, {**student.metadata, "takes_action_masks": True}),
        tmp_path / "masked.onnx",
        "onnx",
        n_states=16,
    )
    (block,) = blocks("cpp")
    code = block.replace("float, 8>", "float, 5>").replace("{1, 8}", "{1, 5}")
    head = f"#include <{HEADER}>\n#include <array>\n#include <cstdio>\n#include <utility>\n"
    (tmp_path / "host.cpp").write_text(f"{head}int main() {{\n{code}\n{MASKED}\n}}\n")
    # The wheel has the library, under a longer name than programs ask for, and not the headers.
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    build = ["c++", "-std=c++17", f"-I{HEADERS}", "host.cpp", "libonnxruntime.so.1", "-Wl,-rpath,.", "-o", "host"]
    subprocess.run(build, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "host"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(int(student.act(np.zeros(5, np.float32)))), "3"]


def test_what_the_page_names_exists():
    found = re.findall(r"((?:cortex_m4|examples)/[\w/]+\.\w+)", PAGE)
    assert len(set(found)) >= 5
    for path in found:
        assert (DOCS / path).exists(), path
