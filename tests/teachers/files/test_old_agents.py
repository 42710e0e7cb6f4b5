"""Agents of earlier versions load as those versions acted."""

import zipfile

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import ARS
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.save_util import load_from_zip_file, save_to_zip_file
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.teachers.files.gym_names import gym_names
from policy_distill.teachers.load import load_teacher
from tests.layouts import agent, statistics
from tests.teachers.test_teachers import observations

WIDTHS = {"device": "cpu", "seed": 0}


def rewrite(path, change, data_of=lambda data: data):
    """Save a zip again with other weights and attributes."""
    data, params, variables = load_from_zip_file(path, device="cpu")
    params["policy"] = change(params["policy"])
    save_to_zip_file(path, data_of(data), params, variables)


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_the_linear_policy_of_ars_before_1_7(tmp_path, env_id, bias, trust):
    model = ARS("LinearPolicy", env_id, policy_kwargs={"with_bias": bias}, **WIDTHS)
    torch.nn.init.normal_(model.policy.action_net[0].weight)
    model.save(tmp_path / "ars.zip")
    rewrite(tmp_path / "ars.zip", lambda old: {name.replace("net.0.", "net."): value for name, value in old.items()})
    teacher, obs = load_teacher(tmp_path / "ars.zip", trust=trust), observations(model.observation_space)
    expected, _ = model.predict(obs, deterministic=True)
    assert np.array_equal(teacher.predict(obs, deterministic=True)[0], expected)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("own", [None, {}, {"vf": [3]}, {"pi": [5], "vf": [3]}])
def test_layers_that_policy_and_value_shared_before_1_8(tmp_path, depth, own):
    shared, of_policy = [8, 6][:depth], (own or {}).get("pi", [])
    widths = {"pi": shared + of_policy, "vf": shared + (own or {}).get("vf", [])}
    model = PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": widths}, n_steps=16, batch_size=16, **WIDTHS)
    both = model.policy.mlp_extractor
    both.value_net[: 2 * depth].load_state_dict(both.policy_net[: 2 * depth].state_dict())
    model.save(tmp_path / "old.zip")

    def as_it_was(weights):
        old = {}
        for name, value in weights.items():
            network, _, rest = name.removeprefix("mlp_extractor.").partition(".")
            layer = int(rest.split(".")[0]) if name.startswith("mlp_extractor.") else -1
            if layer >= 2 * depth:
                old[f"mlp_extractor.{network}.{layer - 2 * depth}.{rest.split('.')[1]}"] = value
            elif layer < 0 or network == "policy_net":
                old[f"mlp_extractor.shared_net.{rest}" if layer >= 0 else name] = value
        return old

    net_arch = [*shared, *([own] if own is not None else [])]
    rewrite(tmp_path / "old.zip", as_it_was, lambda data: {**data, "policy_kwargs": {"net_arch": net_arch}})
    teacher, obs = load_teacher(tmp_path / "old.zip"), observations(model.observation_space)
    params = teacher.label(obs[:, None], np.zeros((50, 1), bool)).params
    assert torch.equal(params, load_teacher(model).label(obs[:, None], np.zeros((50, 1), bool)).params)
    assert teacher.n_params == load_teacher(model).n_params
    values = teacher.with_values().label(obs[:, None], np.zeros((50, 1), bool)).value
    assert torch.equal(values, load_teacher(model).with_values().label(obs[:, None], np.zeros((50, 1), bool)).value)


class Reach(gymnasium.Env):
    """A goal on a line, ten steps; action 1 goes right."""

    def __init__(self):
        parts = {
            "achieved_goal": (-9.0, 9.0, (1,)),
            "desired_goal": (-9.0, 9.0, (1,)),
            "observation": (-9.0, 9.0, (2,)),
        }
        self.observation_space = spaces.Dict({name: spaces.Box(*part, np.float64) for name, part in parts.items()})
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.x, self.goal = 0, 0.0, float(self.np_random.uniform(-3, 3))
        return self._obs(), {}

    def step(self, action):
        self.t, self.x = self.t + 1, self.x + float(action[0])
        return self._obs(), -abs(self.x - self.goal), False, self.t >= 10, {}

    def _obs(self):
        return {
            "achieved_goal": np.array([self.x]),
            "desired_goal": np.array([self.goal]),
            "observation": np.array([self.x, self.t / 10]),
        }


@pytest.fixture
def reach():
    gymnasium.register("Reach-v0", Reach)
    yield "Reach-v0"
    gymnasium.registry.pop("Reach-v0")


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("trust", [False, True])
def test_her_before_1_1_sees_observation_and_goal_side_by_side(tmp_path, reach, normalized, trust):
    flat = DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")])
    model = SAC("MlpPolicy", flat, policy_kwargs={"net_arch": [8]}, buffer_size=10, **WIDTHS)
    model.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    model.save(tmp_path / "her.zip")
    of_her = {"n_sampled_goal": 4, "goal_selection_strategy": "future", "online_sampling": True, "model_class": SAC}
    rewrite(tmp_path / "her.zip", lambda old: old, lambda data: {**data, **of_her})
    if normalized:
        venv = VecNormalize(DummyVecEnv([Reach]))
        venv.reset()
        for _ in range(25):
            venv.step(np.ones((1, 1)))
        venv.save(str(tmp_path / "vecnormalize.pkl"))
    teacher = load_teacher(tmp_path / "her.zip", env=reach, trust=trust)
    obs = np.array([[0.5, 0.2, -1.0]])
    seen = obs
    if normalized:
        parts = {"observation": obs[:, :2], "desired_goal": obs[:, 2:], "achieved_goal": obs[:, :1]}
        seen = venv.normalize_obs(parts)
        seen = np.concatenate([seen["observation"], seen["desired_goal"]], axis=1)
    expected = model.predict(seen.astype(np.float32), deterministic=True)[0]
    assert np.allclose(teacher.predict(obs, deterministic=True)[0] * 2.0, expected, atol=1e-6)
    assert evaluate(teacher, reach, 2).n_episodes == 2


def test_trust_loads_a_buffer_that_saved_memory(tmp_path):
    arguments = {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}
    model = DQN("MlpPolicy", "CartPole-v1", buffer_size=50, **arguments, **WIDTHS)
    model.save(tmp_path / "dqn.zip")
    obs = observations(model.observation_space)
    expected, _ = model.predict(obs, deterministic=True)
    for trust in (False, True):
        teacher = load_teacher(tmp_path / "dqn.zip", trust=trust)
        assert np.array_equal(teacher.predict(obs, deterministic=True)[0], expected)


@pytest.mark.parametrize("trust", [False, True])
def test_files_of_the_gym_era_load_where_only_gymnasium_is(tmp_path, monkeypatch, trust):
    model = agent()
    with gym_names():
        for cls in (spaces.Box, spaces.Discrete):
            monkeypatch.setattr(cls, "__module__", cls.__module__.replace("gymnasium", "gym"))
        model.save(tmp_path / "agent.zip")
        statistics(model, tmp_path / "vecnormalize.pkl")
        monkeypatch.undo()
    assert b"gym.spaces.box" in (tmp_path / "vecnormalize.pkl").read_bytes()
    teacher = load_teacher(tmp_path / "agent.zip", trust=trust)
    assert np.array_equal(teacher.normalizer.mean, model.get_vec_normalize_env().obs_rms.mean)
    with pytest.raises(ModuleNotFoundError):
        __import__("gym")


def saved_by(path, version):
    """Write a zip again as if another version of SB3 had saved it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "_stable_baselines3_version": version.encode()}.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(("version", "ended_in_tanh"), [("1.6.2", True), ("1.7.0", False), ("2.9.2", False)])
def test_a_policy_of_ars_that_does_not_squash_ended_in_a_tanh_before_1_7(tmp_path, version, ended_in_tanh):
    model = ARS("MlpPolicy", "Pendulum-v1", policy_kwargs={"squash_output": False, "net_arch": [8]}, **WIDTHS)
    torch.nn.init.constant_(model.policy.action_net[2].bias, 1.5)
    model.save(tmp_path / "ars.zip")
    saved_by(tmp_path / "ars.zip", version)
    teacher, obs = load_teacher(tmp_path / "ars.zip"), observations(model.observation_space)
    expected = model.policy.action_net(torch.from_numpy(obs)).detach()
    expected = torch.tanh(expected) if ended_in_tanh else expected.clip(-2, 2)
    assert np.allclose(teacher.predict(obs, deterministic=True)[0], expected.numpy(), atol=1e-6)


class Images(gymnasium.Env):
    observation_space = spaces.Box(0, 255, (36, 36, 1), np.uint8)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}


@pytest.mark.parametrize("cls", [SAC, TD3])
def test_actors_of_images_had_no_hidden_layers_before_1_5(tmp_path, cls):
    model = cls("CnnPolicy", DummyVecEnv([Images]), policy_kwargs={"net_arch": []}, buffer_size=4, **WIDTHS)
    model.save(tmp_path / "old.zip")
    rewrite(tmp_path / "old.zip", lambda old: old, lambda data: {**data, "policy_kwargs": {}})
    obs = np.stack([Images.observation_space.sample() for _ in range(5)])
    expected, _ = model.predict(obs, deterministic=True)
    assert np.array_equal(load_teacher(tmp_path / "old.zip").predict(obs, deterministic=True)[0], expected)


def test_a_network_for_exploration_alone_is_named_as_what_is_gone(tmp_path):
    model = SAC("MlpPolicy", "Pendulum-v1", use_sde=True, buffer_size=4, **WIDTHS)
    model.save(tmp_path / "old.zip")
    rewrite(tmp_path / "old.zip", lambda old: {**old, "actor.sde_features_extractor.0.weight": torch.zeros(8, 3)})
    with pytest.raises(RequestError, match="sde_net_arch"):
        load_teacher(tmp_path / "old.zip")


def test_weights_that_fit_no_version_are_refused(tmp_path):
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, **WIDTHS)
    model.save(tmp_path / "odd.zip")
    rewrite(
        tmp_path / "odd.zip", lambda old: {name.replace("action_net.", "action_net.0."): v for name, v in old.items()}
    )
    with pytest.raises(RequestError, match=r"do not fit its policy.*action_net"):
        load_teacher(tmp_path / "odd.zip")
