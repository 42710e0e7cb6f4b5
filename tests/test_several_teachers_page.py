"""docs/several_teachers.md is run as it stands, with fewer steps."""

import json
import re
import shlex
import sys
from pathlib import Path

import gymnasium

from policy_distill.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "several_teachers.md").read_text()


def test_what_the_page_on_several_teachers_says_works_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("qrdqn-CartPole-v1", "ars-CartPole-v1"):
        (tmp_path / name).symlink_to(zoo / name)
    for language, block in re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", block)
        if name is not None:
            (tmp_path / name[1]).write_text(block)
        elif language == "python":
            exec(block, {})
        else:
            for line in block.splitlines():
                quick = "--timesteps 1024 --eval-episodes 8 --select-episodes 2 --track disabled"
                assert main(shlex.split(line.replace("--timesteps 20000", quick))[1:]) == 0, line
    both = json.loads((tmp_path / "both" / "evaluation.json").read_text())
    assert [len(one["sha256"]) for one in both["teachers"]] == [64, 64]
    asked = json.loads((tmp_path / "by_side" / "config.json").read_text())["request"]
    assert asked["combine"] == "dispatch:sides:leaning"
    unseen = json.loads((tmp_path / "unseen" / "evaluation.json").read_text())
    assert unseen["view"]["unseen"]
    for module in ("sides", "sided"):
        sys.modules.pop(module, None)
    gymnasium.registry.pop("Sided-v0", None)
