"""Files of CleanRL act as its scripts' networks do, and nothing in them is run.

The networks are written as the scripts have them: the names of their layers are what its files hold.
"""

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.teachers.load import load_teacher

N = 40


def three(sizes, activation):
    a, b, c, d = sizes
    return nn.Sequential(nn.Linear(a, b), activation(), nn.Linear(b, c), activation(), nn.Linear(c, d))


class PPOAgent(nn.Module):
    """ppo.py."""

    def __init__(self, n_obs=4, n_actions=2):
        super().__init__()
        self.critic = three((n_obs, 64, 64, 1), nn.Tanh)
        self.actor = three((n_obs, 64, 64, n_actions), nn.Tanh)

    def params(self, obs):
        return torch.log_softmax(self.actor(obs), dim=-1)

    def acts(self, obs):
        return self.actor(obs).argmax(dim=-1)


class ContinuousAgent(nn.Module):
    """ppo_continuous_action.py."""

    def __init__(self, n_obs=3, n_actions=1):
        super().__init__()
        self.critic = three((n_obs, 64, 64, 1), nn.Tanh)
        self.actor_mean = three((n_obs, 64, 64, n_actions), nn.Tanh)
        self.actor_logstd = nn.Parameter(torch.full((1, n_actions), -0.7))
        # So that some actions lie beyond the bounds.
        self.actor_mean[4].weight.data *= 20

    def params(self, obs):
        mean = self.actor_mean(obs)
        return torch.cat([mean, self.actor_logstd.expand_as(mean)], dim=-1)

    def acts(self, obs):
        # gym.wrappers.ClipAction.
        return self.actor_mean(obs).clip(-2, 2)


class AtariAgent(nn.Module):
    """ppo_atari.py."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            *(nn.Conv2d(4, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, stride=1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU()),
        )
        self.actor, self.critic = nn.Linear(512, 6), nn.Linear(512, 1)

    def params(self, obs):
        return torch.log_softmax(self.actor(self.network(obs / 255.0)), dim=-1)

    def acts(self, obs):
        return self.params(obs).argmax(dim=-1)


class QNetwork(nn.Module):
    """dqn.py; the policy is greedy."""

    def __init__(self, n_obs=4, n_actions=2):
        super().__init__()
        self.network = three((n_obs, 120, 84, n_actions), nn.ReLU)

    def values(self, obs):
        return self.network(obs)

    def acts(self, obs):
        return self.values(obs).argmax(dim=-1)


class AtariQNetwork(nn.Module):
    """dqn_atari.py."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(*AtariAgent().network, nn.Linear(512, 4))

    def values(self, obs):
        return self.network(obs / 255.0)

    def acts(self, obs):
        return self.values(obs).argmax(dim=-1)


class Scaled(nn.Module):
    def __init__(self, space, n_obs):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(n_obs, 256), nn.Linear(256, 256)
        low, high = torch.from_numpy(space.low), torch.from_numpy(space.high)
        self.register_buffer("action_scale", (high - low) / 2.0)
        self.register_buffer("action_bias", (high + low) / 2.0)

    def hidden(self, obs):
        return torch.relu(self.fc2(torch.relu(self.fc1(obs))))


SPACE = gymnasium.spaces.Box(np.array([-2.0, -0.5], np.float32), np.array([2.0, 1.5], np.float32))


class SACActor(Scaled):
    """sac_continuous_action.py."""

    def __init__(self):
        super().__init__(SPACE, 3)
        self.fc_mean, self.fc_logstd = nn.Linear(256, 2), nn.Linear(256, 2)

    def params(self, obs):
        hidden = self.hidden(obs)
        log_std = torch.tanh(self.fc_logstd(hidden))
        return torch.cat([self.fc_mean(hidden), -5 + 0.5 * (2 - -5) * (log_std + 1)], dim=-1)

    def acts(self, obs):
        return torch.tanh(self.fc_mean(self.hidden(obs))) * self.action_scale + self.action_bias


class TD3Actor(Scaled):
    """td3_continuous_action.py and ddpg_continuous_action.py."""

    def __init__(self):
        super().__init__(SPACE, 3)
        self.fc_mu = nn.Linear(256, 2)

    def params(self, obs):
        return torch.tanh(self.fc_mu(self.hidden(obs)))

    def acts(self, obs):
        return self.params(obs) * self.action_scale + self.action_bias


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(5, 256), nn.Linear(256, 256), nn.Linear(256, 1)


def vectors(size):
    return (3 * np.random.default_rng(0).normal(size=(N, size))).astype(np.float32)


IMAGES = np.random.default_rng(1).integers(0, 256, (6, 4, 84, 84)).astype(np.uint8)
MADE = {
    "ppo": (PPOAgent, "cleanrl-ppo", vectors(4), {}),
    "ppo continuous": (ContinuousAgent, "cleanrl-ppo", vectors(3), {"env": "Pendulum-v1", "vecnormalize": False}),
    "ppo of images": (AtariAgent, "cleanrl-ppo", IMAGES, {}),
    "dqn": (QNetwork, "cleanrl-dqn", vectors(4), {}),
    "dqn of images": (AtariQNetwork, "cleanrl-dqn", IMAGES, {}),
    "sac": (SACActor, "cleanrl-sac", vectors(3), {}),
    "td3": (TD3Actor, "cleanrl-td3", vectors(3), {}),
    "ddpg": (TD3Actor, "cleanrl-ddpg", vectors(3), {}),
}


def written(path, module, algo):
    """Save a network as its script does: TD3 and DDPG save their critics beside the actor."""
    state = module.state_dict()
    critics = {"cleanrl-td3": 2, "cleanrl-ddpg": 1}.get(algo, 0)
    torch.save((state, *(Critic().state_dict() for _ in range(critics))) if critics else state, path)
    return path


@pytest.mark.parametrize("kind", MADE)
def test_a_file_acts_as_the_scripts_network(tmp_path, kind):
    torch.manual_seed(3)
    cls, algo, obs, options = MADE[kind]
    module = cls()
    path = written(tmp_path / f"run{'.cleanrl_model'}", module, algo)
    teacher = load_teacher(path, algo=algo, **options)
    with torch.no_grad():
        seen = torch.from_numpy(obs).float()
        expected = module.acts(seen).numpy()
        params = teacher.label(obs[:, None], np.zeros((len(obs), 1), bool)).params[:, 0]
        if hasattr(module, "values"):
            gaps = module.values(seen) - module.values(seen).max(dim=-1, keepdim=True).values
            temperature = gaps.min() / params.min()
            assert torch.allclose(params * temperature, gaps, atol=1e-5), "one temperature for all states"
        else:
            assert torch.allclose(params, module.params(seen), atol=1e-6)
    actions, _ = teacher.predict(obs, deterministic=True)
    assert np.allclose(actions, expected, atol=1e-6)
    assert params.std(dim=0).max() > 0, "the same everywhere would show nothing"
    assert teacher.provenance["algorithm"] == algo.removeprefix("cleanrl-")
    assert teacher.provenance["library"] == "CleanRL"
    assert len(teacher.provenance["sha256"]) == 64
    with pytest.raises(RequestError, match="does not save the units of its rewards"):
        teacher.with_values()
    if isinstance(module, Scaled):
        assert np.array_equal(teacher.action_space.low, SPACE.low) and np.array_equal(
            teacher.action_space.high, SPACE.high
        )


def test_continuous_ppo_needs_to_know_of_statistics_and_bounds(tmp_path):
    path = written(tmp_path / "run.cleanrl_model", ContinuousAgent(), "cleanrl-ppo")
    with pytest.raises(RequestError, match=r"normalises observations and does not save the statistics.*none"):
        load_teacher(path, algo="cleanrl-ppo", env="Pendulum-v1")
    with pytest.raises(RequestError, match=r"bounds of its actions.*--env"):
        load_teacher(path, algo="cleanrl-ppo", vecnormalize=False)
    with pytest.raises(
        RequestError, match="has 1 continuous actions, expected an environment with the same, found Discrete"
    ):
        load_teacher(path, algo="cleanrl-ppo", env="CartPole-v1", vecnormalize=False)


def altered(change):
    state = PPOAgent().state_dict()
    change(state)
    return state


WRONG = {
    "a q network as ppo": ("cleanrl-ppo", QNetwork().state_dict(), "no network of CleanRL's ppo"),
    "ppo as dqn": ("cleanrl-dqn", PPOAgent().state_dict(), "no network of CleanRL's dqn"),
    "a layer too many": ("cleanrl-ppo", altered(lambda s: s.update({"lstm.weight": torch.ones(2)})), "lstm is not as"),
    "a layer that is missing": ("cleanrl-ppo", altered(lambda s: s.pop("actor.4.bias")), "actor.4.bias"),
    "layers that do not fit": (
        "cleanrl-ppo",
        altered(lambda s: s.update({"actor.2.weight": torch.ones(64, 3)})),
        "do not fit",
    ),
    "c51": ("cleanrl-dqn", {**QNetwork().state_dict(), "atoms": torch.ones(51)}, "atoms is not as expected"),
    "no bounds": (
        "cleanrl-sac",
        {k: v for k, v in SACActor().state_dict().items() if "scale" not in k},
        "action_scale",
    ),
    "bounds of nothing": ("cleanrl-td3", {**TD3Actor().state_dict(), "action_scale": torch.zeros(2)}, "action_scale"),
    "not a dictionary": ("cleanrl-ppo", [torch.ones(2)], "not a dictionary of tensors"),
    "an unknown script": ("cleanrl-rnd", PPOAgent().state_dict(), "cleanrl-ppo, cleanrl-dqn.*found 'cleanrl-rnd'"),
    "no script": ("auto", PPOAgent().state_dict(), "which of CleanRL's scripts wrote it.*cleanrl-ppo"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_another_network_is_refused_in_one_line(tmp_path, what):
    algo, state, words = WRONG[what]
    torch.save(state, tmp_path / "run.cleanrl_model")
    with pytest.raises(RequestError, match=words) as caught:
        load_teacher(tmp_path / "run.cleanrl_model", algo=algo)
    assert "\n" not in str(caught.value)


class Payload:
    def __reduce__(self):
        return (open, ("payload-ran", "w"))


@pytest.mark.parametrize("trust", [False, True])
def test_a_file_runs_nothing(tmp_path, monkeypatch, trust):
    monkeypatch.chdir(tmp_path)
    torch.save({**PPOAgent().state_dict(), "x": Payload()}, "run.cleanrl_model")
    with pytest.raises(RequestError, match="cannot be trusted"):
        load_teacher("run.cleanrl_model", algo="cleanrl-ppo", trust=trust)
    assert not (tmp_path / "payload-ran").exists()


def test_students_are_distilled_from_files_of_cleanrl(tmp_path):
    path = written(tmp_path / "run.cleanrl_model", ContinuousAgent(), "cleanrl-ppo")
    out = tmp_path / "run"
    words = (
        f"distill --teacher {path} --algo cleanrl-ppo --vecnormalize none --env Pendulum-v1 --student mlp:4 --out {out}"
    )
    quick = "--timesteps 256 --n-steps 16 --eval-episodes 0 --select-episodes 0 --track disabled"
    assert main([*words.split(), *quick.split()]) == 0
    assert (out / "student.safetensors").exists()
    page = (out / "report.html").read_text()
    assert "--algo cleanrl-ppo" in page and "--vecnormalize none" in page
    q = written(tmp_path / "q.cleanrl_model", QNetwork(), "cleanrl-dqn")
    teacher = load_teacher(q, algo="cleanrl-dqn", env="CartPole-v1")
    assert distill(teacher, "CartPole-v1", "mlp:4", timesteps=128, n_steps=8, eval_episodes=0).record.fidelity.kl < 1.0
