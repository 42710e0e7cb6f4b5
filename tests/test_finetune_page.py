"""docs/finetune.md is run as it stands, with fewer steps."""

import re
import shlex
from pathlib import Path

from policy_distill.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "finetune.md").read_text()
QUICK = "--eval-episodes 4 --select-episodes 2 --track disabled --out"
TUNED = 12_800
"""Steps after which PPO has changed a student: the critic learns alone for 12,000 of them."""


def test_what_the_page_on_finetuning_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["bash", "python", "bash", "bash"]
    for language, code in blocks:
        if language == "python":
            exec(code.replace("timesteps=20_000, eval_episodes=50", f"timesteps={TUNED}, eval_episodes=4"), {})
            continue
        for line in code.splitlines():
            n_steps = TUNED if "finetune" in line and "--method" not in line else 2048
            quick = re.sub(r"--timesteps \d+", f"--timesteps {n_steps}", line).replace("--out", QUICK)
            assert main(shlex.split(quick)[1:]) == 0, line
    said = capfd.readouterr().out
    assert re.search(r"fine-tuned +(better than|not proven better)", said)
    assert all((tmp_path / run / "report.html").exists() for run in ("tuned", "evolved", "both"))
