import shutil
import warnings
import zipfile

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.interfaces.policies import Teacher
from policy_distill.teachers.describe import describe_zip
from policy_distill.teachers.load import load_teacher
from policy_distill.teachers.train import train_teacher
from tests.doubles import Corridor

SMALL = {"n_steps": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8, 8]}}

AGENTS = {
    # folder: (environment today, algorithm, parameters of the actor path, mean and deviation of the return)
    "ppo-LunarLander-v2": ("LunarLander-v3", "ppo", 4996, 244.73, 27.16),
    "dqn-MountainCar-v0": ("MountainCar-v0", "dqn", 67331, -102.40, 9.58),
    "qrdqn-CartPole-v1": ("CartPole-v1", "qrdqn", 72212, 500.0, 0.0),
    "a2c-Acrobot-v1": ("Acrobot-v1", "a2c", 4803, -83.71, 18.09),
    "ppo-HalfCheetah-v3": ("HalfCheetah-v5", "ppo", 71948, 5705.72, 936.62),
    "sac-Pendulum-v1": ("Pendulum-v1", "sac", 4545, -169.86, 90.82),
    "trpo-Swimmer-v3": ("Swimmer-v5", "trpo", 4868, 357.41, 1.82),
    "tqc-Walker2d-v3": ("Walker2d-v5", "tqc", 73484, 4431.04, 366.59),
}


def observations(space, count=50, seed=0):
    space.seed(seed)
    return np.stack([np.clip(space.sample(), -3, 3) for _ in range(count)])


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("algorithm", [PPO, A2C])
@pytest.mark.parametrize("use_sde", [False, True])
def test_a_saved_teacher_equals_the_live_one_and_sb3_itself(tmp_path, env_id, algorithm, use_sde):
    if use_sde and env_id == "CartPole-v1":
        with pytest.raises(ValueError, match="continuous"):
            algorithm("MlpPolicy", env_id, use_sde=True, **SMALL)
        return
    arguments = {**SMALL, "batch_size": 16} if algorithm is PPO else SMALL
    model = algorithm("MlpPolicy", env_id, use_sde=use_sde, seed=1, **arguments)
    model.save(tmp_path / "agent.zip")
    live, saved = load_teacher(model), load_teacher(tmp_path / "agent.zip")
    assert isinstance(saved, Teacher)
    assert saved.provenance["algorithm"] == algorithm.__name__.lower()
    assert (saved.n_params, saved.n_bytes) == (live.n_params, live.n_bytes)

    obs = observations(model.observation_space)
    params = saved.label(obs.reshape(10, 5, -1), np.zeros((10, 5), bool)).params
    assert params.shape == (10, 5, saved.family.n_params)
    assert not params.requires_grad
    assert torch.equal(params, live.label(obs.reshape(10, 5, -1), np.zeros((10, 5), bool)).params)

    expected, _ = model.predict(obs, deterministic=True)
    assert np.array_equal(saved.predict(obs, deterministic=True)[0], expected)
    mode = saved.action_map.execute(saved.family.mode(params.reshape(50, -1)).numpy())
    assert np.allclose(mode, expected, atol=1e-6)
    assert np.array_equal(saved.predict(obs[0], deterministic=True)[0], model.predict(obs[0], deterministic=True)[0])


def test_labels_are_the_distribution_that_sb3_samples_from():
    model = PPO("MlpPolicy", "Pendulum-v1", seed=0, batch_size=16, **SMALL)
    obs = observations(model.observation_space, 20)
    params = load_teacher(model).label(obs[None], np.zeros((1, 20), bool)).params
    actions = torch.randn(20, 1)
    theirs = model.policy.get_distribution(model.policy.obs_to_tensor(obs)[0]).log_prob(actions)
    ours = load_teacher(model).family.log_prob(params[0], actions)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_large_rollout_is_labelled_in_chunks_with_the_same_result(monkeypatch):
    teacher = load_teacher(PPO("MlpPolicy", "CartPole-v1", seed=0, batch_size=16, **SMALL))
    obs = observations(teacher.observation_space, 60).reshape(20, 3, 4)
    whole = teacher.label(obs, np.zeros((20, 3), bool)).params
    monkeypatch.setattr("policy_distill.teachers.observing.CHUNK", 7)
    assert torch.allclose(teacher.label(obs, np.zeros((20, 3), bool)).params, whole, atol=1e-6)


def normalized(tmp_path, clip_obs=5.0):
    vec_env = VecNormalize(DummyVecEnv([Corridor] * 2), clip_obs=clip_obs)
    model = PPO("MlpPolicy", vec_env, seed=0, batch_size=16, **SMALL)
    model.learn(64)
    model.save(tmp_path / "agent.zip")
    vec_env.save(str(tmp_path / "vecnormalize.pkl"))
    vec_env.training = False
    return model, vec_env


def test_statistics_beside_the_zip_are_found_and_applied(tmp_path):
    model, vec_env = normalized(tmp_path)
    obs = observations(model.observation_space)
    expected, _ = model.predict(vec_env.normalize_obs(obs), deterministic=True)
    for teacher in (load_teacher(tmp_path / "agent.zip"), load_teacher(tmp_path), load_teacher(model)):
        assert teacher.provenance["normalized_observations"]
        assert np.array_equal(teacher.predict(obs, deterministic=True)[0], expected)
    plain = tmp_path / "alone"
    plain.mkdir()
    shutil.copy(tmp_path / "agent.zip", plain)
    with pytest.raises(RequestError, match=r"statistics are missing.*--vecnormalize none"):
        load_teacher(plain / "agent.zip")
    assert load_teacher(plain / "agent.zip", vecnormalize=False).normalizer is None
    assert describe_zip(plain / "agent.zip")["missing"]
    assert load_teacher(plain / "agent.zip", vecnormalize=vec_env).normalizer is not None
    assert load_teacher(plain / "agent.zip", env=vec_env).normalizer is not None


def test_statistics_of_another_shape_are_refused_with_both_shapes(tmp_path):
    normalized(tmp_path)
    PPO("MlpPolicy", "CartPole-v1", batch_size=16, **SMALL).save(tmp_path / "agent.zip")
    with pytest.raises(RequestError, match=r"shape \(2,\), expected \(4,\)"):
        load_teacher(tmp_path / "agent.zip")


def test_trust_uses_the_loading_of_sb3(tmp_path):
    normalized(tmp_path)
    safe, trusted = load_teacher(tmp_path / "agent.zip"), load_teacher(tmp_path / "agent.zip", trust=True)
    obs = observations(safe.observation_space)
    assert np.array_equal(safe.predict(obs, deterministic=True)[0], trusted.predict(obs, deterministic=True)[0])


def test_a_custom_network_is_refused_by_name_and_live_it_works(tmp_path):
    class Swish(torch.nn.SiLU):
        pass

    arguments = {**SMALL, "policy_kwargs": {"activation_fn": Swish, "net_arch": [4]}}
    model = PPO("MlpPolicy", "CartPole-v1", batch_size=16, **arguments)
    model.save(tmp_path / "agent.zip")
    with pytest.raises(RequestError, match=r"trust=True"):
        load_teacher(tmp_path / "agent.zip")
    assert load_teacher(model).n_params == 4 * 4 + 4 + 4 * 2 + 2


@pytest.mark.parametrize("trust", [False, True])
def test_loading_leaves_the_global_generators_alone(tmp_path, trust):
    PPO("MlpPolicy", "CartPole-v1", seed=1, batch_size=16, **SMALL).save(tmp_path / "agent.zip")
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(1).item(), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    load_teacher(tmp_path / "agent.zip", trust=trust)
    assert (torch.rand(1).item(), np.random.rand()) == expected


@pytest.mark.parametrize("algorithm", [PPO, SAC])
def test_a_live_model_trains_on_after_it_has_taught(algorithm):
    arguments = {"n_steps": 16, "batch_size": 16} if algorithm is PPO else {"learning_starts": 8}
    model = algorithm("MlpPolicy", "Pendulum-v1", seed=0, policy_kwargs={"net_arch": [8]}, device="cpu", **arguments)
    teacher = load_teacher(model)
    obs, starts = observations(model.observation_space, 6).reshape(3, 2, -1), np.zeros((3, 2), bool)
    before = teacher.label(obs, starts).params
    assert all(parameter.requires_grad for parameter in model.policy.parameters())
    model.learn(64)
    after = teacher.label(obs, starts).params
    assert not torch.equal(before, after)
    assert not after.requires_grad


def test_a_live_model_of_a_derived_class_is_what_it_derives_from():
    class Derived(PPO):
        pass

    model = Derived("MlpPolicy", "CartPole-v1", batch_size=16, **SMALL)
    assert load_teacher(model).provenance["algorithm"] == "ppo"
    assert load_teacher(model, algo="A2C").provenance["algorithm"] == "a2c"


@pytest.mark.parametrize("arch", [[16], {"pi": [8], "vf": [4, 4]}, []])
def test_only_the_actor_path_is_counted(tmp_path, arch):
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": arch})
    width = {"16": 16, "8": 8}.get(str((arch["pi"] if isinstance(arch, dict) else arch or [0])[0]), 0)
    expected = 4 * width + width + width * 2 + 2 if width else 4 * 2 + 2
    assert load_teacher(model).n_params == expected
    assert load_teacher(model).n_bytes == 4 * expected


def bad_files(tmp_path):
    PPO("MlpPolicy", "CartPole-v1", batch_size=16, **SMALL).save(tmp_path / "good.zip")
    whole = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "foreign.zip").write_bytes(b"hello")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("readme", "no agent")
    flipped = bytearray(whole)
    flipped[whole.index(b"policy.pth") + 400] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(flipped)
    (tmp_path / "empty").mkdir()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.zip", "found nothing at"),
        ("cut.zip", "truncated or damaged"),
        ("foreign.zip", "not a zip"),
        ("other.zip", "without 'data'"),
        ("flipped.zip", "truncated or damaged"),
        ("empty", "expected one teacher zip"),
    ],
)
def test_a_file_that_is_no_agent_is_refused_with_the_reason(tmp_path, name, message):
    bad_files(tmp_path)
    with pytest.raises(RequestError, match=message) as error:
        load_teacher(tmp_path / name)
    assert "\n" not in str(error.value)


def test_an_environment_that_does_not_fit_is_refused_with_both_shapes(tmp_path):
    model = PPO("MlpPolicy", "CartPole-v1", batch_size=16, **SMALL)
    with pytest.raises(RequestError, match=r"expected Box\(4,\).*found Box\(3,\)"):
        load_teacher(model, env="Pendulum-v1")
    with pytest.raises(RequestError, match="a Stable-Baselines3 model"):
        load_teacher(42)
    with pytest.raises(RequestError, match="algorithm among"):
        model.save(tmp_path / "agent.zip")
        load_teacher(tmp_path / "agent.zip", algo="pop")


def test_a_zip_is_described_without_an_environment(tmp_path):
    normalized(tmp_path)
    record = describe_zip(tmp_path / "agent.zip")
    assert record["algorithm"] == "ppo"
    assert record["n_params"] == 2 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2
    assert record["vecnormalize"].endswith("vecnormalize.pkl")
    assert "Discrete(2)" in record["action_space"]


def test_training_a_teacher_writes_a_zip_with_its_statistics(tmp_path):
    steps = []
    arguments = {"n_steps": 32, "batch_size": 32}
    options = {"normalize": True, "n_envs": 2, "hyperparameters": arguments, "on_step": steps.append}
    train_teacher("CartPole-v1", "ppo", 128, (8,), 0, tmp_path / "t.zip", **options)
    assert steps[-1] == 128
    assert load_teacher(tmp_path / "t.zip").normalizer is not None


def test_agents_that_are_trained_into_one_folder_keep_what_is_theirs(tmp_path):
    def train(name, env="CartPole-v1", **options):
        settings = {"n_steps": 32, "batch_size": 32}
        train_teacher(env, "ppo", 64, (8,), 0, tmp_path / name, n_envs=2, hyperparameters=settings, **options)

    train("one.zip", normalize=True)
    first = load_teacher(tmp_path / "one.zip").normalizer.mean
    train("two.zip", env=lambda: gymnasium.make("CartPole-v1", sutton_barto_reward=True), normalize=True)
    assert load_teacher(tmp_path / "two.zip").provenance["vecnormalize"] == "two_vecnormalize.pkl"
    assert np.array_equal(load_teacher(tmp_path / "one.zip").normalizer.mean, first)
    # In place of another agent: what was beside it goes with it.
    train("two.zip", env_kwargs={"sutton_barto_reward": True})
    assert load_teacher(tmp_path / "two.zip", vecnormalize=False).env_kwargs == {"sutton_barto_reward": True}
    train("two.zip")
    assert not (tmp_path / "two_vecnormalize.pkl").exists()
    assert load_teacher(tmp_path / "two.zip", vecnormalize=False).env_kwargs == {}
    (tmp_path / "two.zip").unlink()
    train("one.zip")
    assert load_teacher(tmp_path / "one.zip").normalizer is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algo": "pop"}, "algorithm among"),
        ({"timesteps": 0}, "timesteps of at least 1"),
        ({"net_arch": (0,)}, "net_arch of at least 1"),
        ({"env": "Nowhere-v0"}, "Nowhere"),
        ({"hyperparameters": {"n_step": 1}}, "no hyperparameter 'n_step'"),
    ],
)
def test_a_teacher_that_cannot_be_trained_is_refused_first(arguments, message):
    with pytest.raises(RequestError, match=message):
        train_teacher(**{"env": "CartPole-v1", **arguments})


@pytest.mark.parametrize("folder", AGENTS)
def test_a_pre_trained_agent_loads_from_its_folder_alone_and_scores_what_is_known(zoo, folder):
    env_id, algorithm, n_params, mean, std = AGENTS[folder]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teacher = load_teacher(zoo / folder)
    assert (teacher.provenance["algorithm"], teacher.n_params) == (algorithm, n_params)
    assert len(teacher.provenance["sha256"]) == 64
    found = evaluate(teacher, env_id, n_episodes=12, seed=1000)
    # Four standard errors of a mean of 12; an agent without its statistics, or with a wrong layer, scores far below.
    assert abs(found.mean - mean) <= 4 * std / np.sqrt(12)
