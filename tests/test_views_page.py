"""docs/views.md is run as it stands, with fewer steps."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from policy_distill.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "views.md").read_text()


def test_what_the_page_on_views_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "ppo-LunarLander-v2").symlink_to(zoo / "ppo-LunarLander-v2")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 6
    for language, code in blocks:
        if code.startswith("# sensors.py"):
            (tmp_path / "sensors.py").write_text(code)
        elif language == "python":
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and done.stdout == "(5,)\n", done.stderr
        else:
            for line in code.splitlines():
                quick = line.replace("50000 --out", "2000 --eval-episodes 0 --track disabled --out")
                assert main(shlex.split(quick)[1:]) == 0, line
    assert "cannot see x_velocity, y_velocity, angular_velocity" in (tmp_path / "blind" / "report.html").read_text()
    sys.modules.pop("sensors", None)
