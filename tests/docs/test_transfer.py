"""docs/transfer.md is run as it stands, with fewer steps."""

import json
import re
import shlex
from pathlib import Path

from policy_distill.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "transfer.md").read_text()
QUICK = "--eval-episodes 4 --select-episodes 2 --track disabled --out"
TUNED = 14_336
"""Steps after which PPO has changed a student: the critic learns alone for 12,000 of them."""


def test_what_the_page_on_transfer_says_works_as_written(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for agent in ("sac-Pendulum-v1", "qrdqn-CartPole-v1"):
        (tmp_path / agent).symlink_to(zoo / agent)
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["bash", "bash", "python"]
    for language, code in blocks:
        if language == "python":
            exec(code.replace("timesteps=60_000, eval_episodes=50", f"timesteps={TUNED}, eval_episodes=4"), {})
            continue
        for line in code.splitlines():
            n_steps = TUNED if "--env-kwargs" in line else 2048
            quick = re.sub(r"--timesteps \d+", f"--timesteps {n_steps}", line).replace("--out", QUICK)
            assert main(shlex.split(quick)[1:]) == 0, line
    found = {
        run: json.loads((tmp_path / run / "evaluation.json").read_text())["transfer"] for run in ("heavier", "cart")
    }
    assert {name: one["by"] for name, one in found.items()} == {"heavier": "reward", "cart": "teacher"}
    assert {one["became"] for one in found["heavier"]["parts"]} == {"copied"}
