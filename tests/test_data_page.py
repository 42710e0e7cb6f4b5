"""docs/data.md is run as it stands, with fewer steps."""

import re
import shlex
from pathlib import Path

from policy_distill.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "data.md").read_text()


def test_what_the_page_on_data_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["bash", "python", "bash", "bash", "python"]
    for language, code in blocks:
        if language == "python":
            exec(code, {})
            continue
        for line in code.splitlines():
            quick = line.replace("50000 --out", "4096 --eval-episodes 0 --track disabled --out")
            quick = quick.replace("--episodes 100", "--episodes 3")
            assert main(shlex.split(quick)[1:]) == 0, line
    said = capfd.readouterr().out
    assert re.search(r"left out of the data +\d+ of \d+ whole episodes that the teacher acted", said)
    # The table of a comparison has the conditions.
    assert "obs-noise:0.3" in said and "delay:2" in said
