"""The examples of docs/teachers.md are run as they stand, and what it says is looked for is what is looked for."""

import re
import shlex
from pathlib import Path

import gymnasium
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from policy_distill.cli import main
from policy_distill.teachers.files.companions import STATISTICS
from policy_distill.teachers.files.zoo_wrappers import HARMLESS
from tests.layouts import hub, zoo

PAGE = (Path(__file__).parents[2] / "docs" / "teachers.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Make the files that the page names, small."""
    monkeypatch.chdir(tmp_path)
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 2))
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": [8]})
    model.learn(128, callback=CheckpointCallback(64, "checkpoints", save_vecnormalize=True))
    hub(tmp_path / "hub" / "ppo-CartPole-v1", model, env_id="CartPole-v1")
    zoo(tmp_path / "logs" / "ppo" / "CartPole-v1_1", model, env_id="CartPole-v1")
    for folder in ("moved", "live"):
        (tmp_path / folder).mkdir()
        model.save(tmp_path / folder / "agent.zip")
    env.save(str(tmp_path / "live" / "vecnormalize.pkl"))
    model.policy.save(str(tmp_path / "live" / "policy.pth"))
    state = nn.ModuleDict(
        {"actor": nn.Sequential(nn.Linear(4, 2)), "critic": nn.Sequential(nn.Linear(4, 1))}
    ).state_dict()
    (tmp_path / "runs").mkdir()
    torch.save(state, tmp_path / "runs" / "ppo.cleanrl_model")


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[2][:30])
def test_the_examples_in_python_work_as_written(files, block):
    exec(block, {})


def test_the_examples_on_the_command_line_work_as_written(files, capsys):
    lines = "".join(blocks("bash")).splitlines()
    assert len(lines) > 4
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "policy-distill"
        assert main(words) == 0, f"{line}\n{capsys.readouterr().err}"


def test_the_page_names_what_is_looked_for():
    assert all(f"`{name}`" in PAGE for name in (*STATISTICS, *(HARMLESS - {"VecNormalize"})))
