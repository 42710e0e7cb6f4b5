import re
from pathlib import Path

import numpy as np

import policy_distill
from policy_distill.commands.table import COMMANDS
from policy_distill.losses.table import LOSSES
from policy_distill.networks.table import KINDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_example_works_as_written(zoo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LunarLander-v2.zip").symlink_to(zoo / "ppo-LunarLander-v2" / "LunarLander-v2.zip")
    code = blocks("python")[0].replace("50_000", "2_000")
    names = {"obs": np.zeros(8, np.float32)}
    exec(code, names)
    assert "Retention(iqm=" in capsys.readouterr().out
    assert names["action"] in range(4)
    assert (tmp_path / "student.safetensors").stat().st_size > 1000


def test_every_command_and_every_public_name_is_shown():
    shell = "\n".join(blocks("bash"))
    assert {word for word in re.findall(r"policy-distill (\w+)", shell)} == set(COMMANDS)
    for name in policy_distill.__all__:
        assert f"`{name}" in README or f"{name}(" in README


def test_what_the_readme_names_exists():
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("bash")), flags=re.MULTILINE):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()
    for name in re.findall(r"python -m experiments\.(\w+) ", README):
        assert (ROOT / "experiments" / f"{name}.py").exists()
    for name in LOSSES:
        assert f"`{name}" in README
    for kind in KINDS:
        assert f"`{kind}" in README
    for path in re.findall(r"^  (\w+(?:\.py|/))", README, flags=re.MULTILINE):
        assert (ROOT / "policy_distill" / path).exists()
