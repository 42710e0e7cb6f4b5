"""docs/scale.md is run as it stands, with fewer steps, and its commands for clusters are at least understood."""

import re
import shlex
from pathlib import Path

import pytest

from policy_distill.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "scale.md").read_text()


def commands(block):
    return [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]


def test_what_the_page_on_workers_says_works_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    first, _, cluster, _ = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    distilled, compared = commands(first)
    assert main([*distilled[1:], "--timesteps", "2000", "--eval-episodes", "0", "--track", "disabled"]) == 0
    assert main([*compared[1:], "--episodes", "4"]) == 0
    (on_cluster,) = [words for words in commands(cluster) if words[0] == "policy-distill"]
    with pytest.raises(SystemExit) as end:
        main([*on_cluster[1:], "--help"])
    assert end.value.code == 0
