"""docs/tasks.md is run as it stands, with fewer steps."""

import re
import shlex
from pathlib import Path

import pytest

from policy_distill.cli import main
from policy_distill.student.runtime import load_student

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
QUICK = {
    "distill": "--timesteps 1024 --n-envs 4 --n-steps 32 --eval-episodes 2 --select-episodes 2 --track disabled",
    "evaluate": "--episodes 1",
    "compare": "--episodes 1",
    "export": "--states 16",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_the_page_on_several_tasks_says_works_as_written(zoo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for name in ("ars-CartPole-v1", "a2c-Acrobot-v1", "dqn-MountainCar-v0"):
        (tmp_path / name).symlink_to(zoo / name)
    blocks = re.findall(r"```(yaml|bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["yaml", "bash", "python"]
    for language, code in blocks:
        if language == "yaml":
            (tmp_path / re.match(r"# (\S+)", code)[1]).write_text(code)
        elif language == "python":
            exec(code.replace("2_000", "256").replace("eval_episodes=20", "eval_episodes=2"), {})
        else:
            for line in code.splitlines():
                words = shlex.split(line)[1:]
                # What comes last counts.
                assert main([*words, *shlex.split(QUICK.get(words[0], ""))]) == 0, line
    said = capfd.readouterr().out
    assert "kept, geometric mean" in said
    assert load_student("car.safetensors").origin.env_id == "MountainCar-v0"
    assert {path.name for path in (tmp_path / "all_three").iterdir()} == {"cartpole", "acrobot", "car"}
