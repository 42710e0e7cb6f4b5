"""The examples of docs/ are run as they stand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from policy_distill.cli import main

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "deploy.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_examples_of_deployment_work_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    for line in "".join(blocks("bash")).splitlines():
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
    assert {"lander", "lander_c", "lander_int8", "lander.onnx", "lander.zip"} <= {p.name for p in tmp_path.iterdir()}
    (example,) = blocks("c")
    setup, _, calls = example.partition("policy_reset();")
    (tmp_path / "main.c").write_text(f"{setup}\nint main(void) {{ policy_reset(); {calls} return action[0] > 3; }}\n")
    build = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Ilander_c", "main.c", "lander_c/policy.c", "-o", "main"]
    subprocess.run(build, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_what_the_page_names_exists():
    for path in re.findall(r"docs/(cortex_m4/\w+\.\w+)", PAGE):
        assert (DOCS / path).exists()
