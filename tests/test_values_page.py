"""docs/values.md is run as it stands, with fewer steps."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from policy_distill.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "values.md").read_text()


def test_what_the_page_on_values_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    printed = iter(["torch.Size([1, 2]) 0.999\n", "4801 484\n"])
    assert [language for language, _ in blocks] == ["python", "bash", "python", "bash"]
    for language, code in blocks:
        if language == "python":
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and done.stdout == next(printed), done.stdout + done.stderr
        else:
            for line in code.splitlines():
                quick = line.replace("50000 --out", "2000 --eval-episodes 0 --track disabled --out")
                assert main(shlex.split(quick)[1:]) == 0, line
    assert "critic.n_params" in capfd.readouterr().out
