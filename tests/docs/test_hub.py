"""docs/hub.md is run as it stands, with fewer steps, against a stand-in of the hub."""

import re
import shlex
from pathlib import Path

import pytest

from policy_distill.cli import main
from tests.hub_server import Repository, hub_in_use

PAGE = (Path(__file__).parents[2] / "docs" / "hub.md").read_text()
QUICK = "--timesteps 4096 --eval-episodes 2 --select-episodes 2 --track disabled --out"


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_what_the_page_on_the_hub_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    folder = zoo / "ppo-LunarLander-v2"
    files = {"ppo-LunarLander-v2.zip": (folder / "LunarLander-v2.zip").read_bytes()}
    files |= {name: (folder / name).read_bytes() for name in ("args.yml", "config.yml")}
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["bash", "bash", "python", "bash", "python"]
    with hub_in_use(monkeypatch, tmp_path / "cache") as hub:
        hub.repositories["sb3/ppo-LunarLander-v2"] = Repository(files)
        for language, code in blocks:
            if language == "python":
                exec(code, {})
                continue
            for line in code.splitlines():
                if line.startswith("pip"):
                    continue
                # So few steps prove nothing.
                quick = line.replace("--out", QUICK).replace("push", "push --unproven --no-video")
                assert main(shlex.split(quick)[1:]) == 0, line
    assert "ppo-LunarLander-v2.zip" in capfd.readouterr().out
    assert "student.safetensors" in hub.repositories["you/lander-student"].files
