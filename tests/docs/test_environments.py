"""The examples of docs/environments.md are run as they stand."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import gymnasium

from policy_distill.cli import main
from policy_distill.environments.wrappers import WRAPPERS
from tests.dials import write_teacher

ENVIRONMENTS = (Path(__file__).parents[2] / "docs" / "environments.md").read_text()


def test_every_way_to_name_an_environment_works_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (module, *examples) = re.findall(r"```python\n(.*?)```", ENVIRONMENTS, flags=re.DOTALL)
    (tmp_path / "mills.py").write_text(module)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    import mills

    # An agent for sails that are one side off.
    write_teacher(tmp_path / "teacher.zip", mills.Mill(), 1)
    shell = "".join(re.findall(r"```bash\n(.*?)```", ENVIRONMENTS, flags=re.DOTALL)).splitlines()
    for line in shell:
        gymnasium.registry.pop("Mill-v0", None)
        sys.modules.pop("mills", None)
        words = shlex.split(line)
        if words[:2] == ["policy-distill", "evaluate"]:
            capsys.readouterr()
            assert main([*words[1:], "--json"]) == 0, line
            # The run was distilled with its sails one side off, and a callable says so; the rest is not for the agent.
            shifted = {"runs/mill", "turned:Turned-v0"}.intersection(words)
            assert json.loads(capsys.readouterr().out)["mean"] == (20.0 if shifted else 0.0), line
        elif words[0] == "policy-distill":
            assert main(words[1:]) == 0, line
        else:
            subprocess.run(["bash", "-euc", line], check=True)
    for block in examples:
        names = {}
        exec(block, names)
        shifted = "shift" in block
        assert names["returns"].tolist() == [20.0 if shifted else 0.0] * len(names["returns"]), block
    for name in ("mills", "turned"):
        sys.modules.pop(name, None)
    for env_id in ("Mill-v0", "Turned-v0"):
        gymnasium.registry.pop(env_id, None)


def test_the_page_has_six_ways_each_on_the_command_line_and_in_python():
    parts = re.split(r"^## \d\. ", ENVIRONMENTS, flags=re.MULTILINE)[1:]
    assert len(parts) == 6
    for part in parts:
        assert "```bash" in part
        assert "```python" in part
    for name in WRAPPERS:
        assert f"`{name}`" in ENVIRONMENTS
