"""A policy without its model, live or in a file, is the teacher that the model would be."""

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import ARS, QRDQN, TQC, TRPO, CrossQ, MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.policies import ActorCriticPolicy

from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.teachers.load import load_teacher
from tests.layouts import agent
from tests.teachers.test_teachers import observations

KINDS = {
    "ppo": (PPO, "MlpPolicy", "CartPole-v1", {}),
    "ppo with gSDE": (PPO, "MlpPolicy", "Pendulum-v1", {"use_sde": True}),
    "trpo": (TRPO, "MlpPolicy", "Pendulum-v1", {}),
    "ppo_mask": (MaskablePPO, "MlpPolicy", "CartPole-v1", {}),
    "ppo_lstm": (RecurrentPPO, "MlpLstmPolicy", "CartPole-v1", {}),
    "sac": (SAC, "MlpPolicy", "Pendulum-v1", {}),
    "sac with gSDE": (SAC, "MlpPolicy", "Pendulum-v1", {"use_sde": True}),
    "tqc": (TQC, "MlpPolicy", "Pendulum-v1", {}),
    "crossq": (CrossQ, "MlpPolicy", "Pendulum-v1", {}),
    "td3": (TD3, "MlpPolicy", "Pendulum-v1", {}),
    "dqn": (DQN, "MlpPolicy", "CartPole-v1", {}),
    "qrdqn": (QRDQN, "MlpPolicy", "CartPole-v1", {}),
    "ars": (ARS, "MlpPolicy", "CartPole-v1", {}),
    "linear ars": (ARS, "LinearPolicy", "Pendulum-v1", {}),
}
SHARED = ("ppo", "trpo")
"""What these act from does not tell them apart."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_policys_file_and_a_live_policy_are_the_models_teacher(tmp_path, kind):
    cls, policy, env_id, arguments = KINDS[kind]
    model = cls(policy, env_id, seed=0, device="cpu", **arguments)
    model.policy.save(tmp_path / "policy.pth")
    whole = load_teacher(model)
    obs, starts = observations(model.observation_space)[:, None].astype(np.float32), np.zeros((50, 1), bool)
    expected = whole.label(obs, starts).params
    for source, options in (
        (model.policy, {}),
        (tmp_path / "policy.pth", {}),
        (tmp_path / "policy.pth", {"trust": True}),
    ):
        teacher = load_teacher(source, **options)
        assert type(teacher) is type(whole)
        assert (teacher.n_params, teacher.n_bytes) == (whole.n_params, whole.n_bytes)
        assert torch.allclose(teacher.label(obs, starts).params, expected, atol=1e-6)
        name = kind.split(" with")[0].split()[-1]
        assert teacher.provenance["algorithm"] == ("actor-critic" if name in SHARED else name)


def test_a_policy_with_a_normalising_environment_takes_its_statistics_and_is_distilled():
    model = agent()
    teacher = load_teacher(model.policy, env=model.get_env())
    obs = observations(model.observation_space).astype(np.float32)
    expected, _ = model.predict(model.get_vec_normalize_env().normalize_obs(obs), deterministic=True)
    assert np.array_equal(teacher.predict(obs, deterministic=True)[0], expected)
    result = distill(teacher, model.get_env(), "mlp:4", timesteps=64, n_steps=16, eval_episodes=0, select_episodes=0)
    assert result.student.predict(obs[0], deterministic=True)[0] in (0, 1)


def test_a_class_of_ones_own_that_derives_from_sb3s_policy_is_one_of_them():
    class Cloned(ActorCriticPolicy):
        """As imitation's behaviour cloning makes its policy."""

    env = gymnasium.make("CartPole-v1")
    policy = Cloned(env.observation_space, env.action_space, lambda _: 0.0, net_arch=[8])
    teacher = load_teacher(policy)
    assert teacher.n_params == 4 * 8 + 8 + 8 * 2 + 2
    assert teacher.family.name == "categorical"


def test_another_file_of_torch_is_refused_with_what_to_do(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "net.pth")
    with pytest.raises(RequestError, match="pass the policy"):
        load_teacher(tmp_path / "net.pth")
    torch.save({"state_dict": {"encoder.weight": torch.zeros(3)}, "data": {}}, tmp_path / "net.pth")
    with pytest.raises(RequestError, match=r"holds no policy of Stable-Baselines3.*encoder"):
        load_teacher(tmp_path / "net.pth")


class Payload:
    def __reduce__(self):
        return (open, ("payload-ran", "w"))


def test_a_policys_file_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = gymnasium.make("CartPole-v1")
    policy = ActorCriticPolicy(env.observation_space, env.action_space, lambda _: 0.0)
    data = {**policy._get_constructor_parameters(), "ortho_init": Payload()}
    torch.save({"state_dict": policy.state_dict(), "data": data}, "policy.pth")
    with pytest.raises(RequestError, match="cannot be trusted"):
        load_teacher("policy.pth")
    assert not (tmp_path / "payload-ran").exists()


class FeedForward32Policy(ActorCriticPolicy):
    """As imitation has it for behaviour cloning."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs, net_arch=[32, 32])


class Normalizing(torch.nn.Module):
    """As imitation's extractor that normalises by running statistics: a class of neither SB3 nor torch."""

    def __init__(self, observation_space):
        super().__init__()
        self.features_dim = observation_space.shape[0]

    def forward(self, obs):
        return obs


def cloned(**options):
    env = gymnasium.make("Pendulum-v1")
    return FeedForward32Policy(
        env.observation_space, env.action_space, lambda _: torch.finfo(torch.float32).max, **options
    )


def test_a_policy_that_imitation_cloned_is_read_from_its_file(tmp_path):
    policy = cloned()
    policy.save(tmp_path / "bc.zip")
    teacher = load_teacher(tmp_path / "bc.zip")
    obs = observations(policy.observation_space).astype(np.float32)
    with torch.no_grad():
        expected = policy.get_distribution(torch.from_numpy(obs)).distribution
    params = teacher.label(obs[:, None], np.zeros((len(obs), 1), bool)).params[:, 0]
    assert torch.equal(params, torch.cat([expected.mean, expected.stddev.log()], dim=-1))
    assert np.array_equal(teacher.predict(obs, deterministic=True)[0], policy.predict(obs, deterministic=True)[0])


def test_a_part_of_imitations_own_in_a_policys_file_is_named(tmp_path):
    cloned(features_extractor_class=Normalizing).save(tmp_path / "bc.pth")
    with pytest.raises(RequestError, match=r"Normalizing.*nothing"):
        load_teacher(tmp_path / "bc.pth")
