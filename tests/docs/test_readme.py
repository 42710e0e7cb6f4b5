import importlib
import re
import shlex
from pathlib import Path

import pytest
import tyro

import policy_distill
from policy_distill.cli import _parse, main
from policy_distill.commands.table import COMMANDS
from policy_distill.losses.table import LOSSES
from policy_distill.networks.table import KINDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_example_works_as_written(zoo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "LunarLander-v2.zip").symlink_to(zoo / "ppo-LunarLander-v2" / "LunarLander-v2.zip")
    code = blocks("python")[0].replace("50_000", "2_000")
    names = {}
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


def commands():
    """Return every line of the shell examples as words, joined where a backslash divides it."""
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


CONFIGURATIONS = {
    "experiments.suite": "Suite",
    "experiments.results": "Results",
    "experiments.calibration": "Calibration",
}


def test_every_command_is_understood():
    for program, *words in commands():
        if program == "policy-distill":
            assert _parse(words) is not None
        elif program == "python":
            module = importlib.import_module(words[1])
            tyro.cli(getattr(module, CONFIGURATIONS.get(words[1], "Config")), args=words[2:])
        else:
            assert program in ("pip", "make"), program


SMALLER = {
    "train": ["--timesteps", "2048", "--n-envs", "2"],
    "distill": ["--timesteps", "1024", "--eval-episodes", "4", "--select-episodes", "2"],
    "compress": [
        *("--timesteps", "512", "--n-steps", "32", "--eval-episodes", "4", "--students", "linear", "mlp:2"),
        *("--max-episode-steps", "40"),
    ],
    "suite": ["--dry-run"],
    "evaluate": ["--episodes", "4"],
    "compare": ["--episodes", "4"],
    "export": ["--states", "64"],
    "bench": ["--rounds", "1", "--cold-starts", "1"],
    "push": ["--dry-run", "--no-video", "--unproven"],
    "sync": ["--dry-run"],
    "dashboard": ["--offline"],
}


# What W&B's workspaces are made of is of an older pydantic.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
def test_the_commands_work_one_after_the_other(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text("teachers: teacher.zip\n")
    section = README.partition("## Command line")[2]
    (block, *_) = re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)
    for line in block.splitlines():
        _, name, *words = shlex.split(line, comments=True)
        if name == "train":
            words[words.index("--timesteps") : words.index("--timesteps") + 2] = []
        assert main([name, *words, *SMALLER.get(name, [])]) == 0, f"{line}\n{capfd.readouterr().err}"
    for made in (
        "teacher.zip",
        "runs/cartpole/student.safetensors",
        "runs/cartpole/policy/policy.c",
        "runs/report.html",
    ):
        assert (tmp_path / made).exists()
