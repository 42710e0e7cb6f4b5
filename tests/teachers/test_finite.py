"""A teacher with weights that are not finite is refused in one line, before anything is run."""

import re

import pytest
import torch
from stable_baselines3 import DQN, PPO, TD3

from policy_distill import load_teacher
from policy_distill.cli import main
from policy_distill.errors import RequestError

LAYER = "mlp_extractor.policy_net.0.weight"


def small_ppo():
    return PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": [4]})


def broken_ppo(value=float("nan")):
    model = small_ppo()
    model.policy.get_parameter(LAYER).data[0, 1] = value
    return model


@pytest.mark.parametrize("command", ["evaluate", "distill", "compare", "info"])
def test_the_line_names_the_file_and_the_layer(command, tmp_path, capsys):
    path = tmp_path / "agent.zip"
    broken_ppo().save(path)
    given = {
        "evaluate": [str(path), "--env", "CartPole-v1"],
        "distill": ["--teacher", str(path), "--env", "CartPole-v1", "--out", str(tmp_path / "run")],
        "compare": [str(path), str(path), "--env", "CartPole-v1"],
        "info": [str(path)],
    }[command]
    assert main([command, *given]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"agent\.zip: expected finite weights, found 1 of \d+ in {re.escape(LAYER)} that are not", said)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_live_model_is_refused_too(value):
    with pytest.raises(RequestError, match=rf"the ActorCriticPolicy: .* in {re.escape(LAYER)}"):
        load_teacher(broken_ppo(value))


@pytest.mark.parametrize("trust", [False, True])
def test_what_only_training_needs_may_be_anything(trust, tmp_path):
    model = small_ppo()
    model.policy.value_net.weight.data.fill_(float("nan"))
    model.save(tmp_path / "agent.zip")
    assert load_teacher(tmp_path / "agent.zip", trust=trust).family.name == "categorical"


@pytest.mark.parametrize(("algorithm", "env", "name"), [(DQN, "CartPole-v1", "q_net"), (TD3, "Pendulum-v1", "actor")])
def test_so_it_is_for_teachers_of_values_and_of_actions(algorithm, env, name):
    model = algorithm("MlpPolicy", env, buffer_size=10, device="cpu", policy_kwargs={"net_arch": [4]})
    with torch.no_grad():
        next(iter(getattr(model.policy, f"{name}_target").parameters())).fill_(float("nan"))
    load_teacher(model)
    with torch.no_grad():
        next(iter(getattr(model.policy, name).parameters())).fill_(float("nan"))
    with pytest.raises(RequestError, match=rf"in {name}\."):
        load_teacher(model)
