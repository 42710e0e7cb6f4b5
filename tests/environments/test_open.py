import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

from policy_distill.environments.faults import check_finite
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.open import is_recipe, normalization_of, open_environments, without_normalization
from policy_distill.environments.vectors import GymnasiumEnvironments, Sb3Environments
from policy_distill.errors import RequestError, RunFault
from tests.doubles import Corridor

MAKERS = {
    "an id": lambda: "CartPole-v1",
    "a spec": lambda: gymnasium.spec("CartPole-v1"),
    "a callable": lambda: lambda: gymnasium.make("CartPole-v1"),
    "an environment": lambda: gymnasium.make("CartPole-v1"),
    "a Gymnasium vector": lambda: gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync"),
    "a native vector": lambda: gymnasium.make_vec("CartPole-v1", 3),
    "an SB3 vector": lambda: make_vec_env("CartPole-v1", 3, env_kwargs={"render_mode": None}),
    "a wrapped SB3 vector": lambda: VecFrameStack(DummyVecEnv([Corridor] * 3), 2),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_an_environment_can_be_named_in_any_way(kind):
    envs = open_environments(MAKERS[kind](), 3)
    for index in range(envs.n_envs):
        envs.reset(index, index)
    space = envs.action_space
    rewards, terminated, truncated = envs.step(np.array([space.sample() for _ in range(envs.n_envs)]))
    assert rewards.shape == terminated.shape == truncated.shape == (envs.n_envs,)
    assert envs.obs.shape == (envs.n_envs, *envs.observation_space.shape)
    envs.close()


def test_a_vec_normalize_is_taken_out_from_under_other_wrappers():
    inner = VecNormalize(DummyVecEnv([Corridor] * 2))
    outer = VecFrameStack(VecMonitor(inner), 2)
    plain = without_normalization(outer)
    assert normalization_of(outer) is inner
    assert normalization_of(plain) is None
    assert isinstance(plain, VecFrameStack)
    assert isinstance(plain.venv, VecMonitor)
    assert outer.venv.venv is inner, "the caller's own chain stays"
    expected = VecFrameStack(VecMonitor(DummyVecEnv([Corridor] * 2)), 2)
    for vector in (plain, expected):
        vector.seed(3)
    assert np.array_equal(plain.reset(), expected.reset())
    other = VecMonitor(DummyVecEnv([Corridor]))
    assert without_normalization(other) is other


def test_a_dict_within_a_dict_is_refused():
    class Nested(Corridor):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Dict(a=spaces.Dict(b=self.observation_space))

    with pytest.raises(RequestError, match=r"a Dict under 'a'.*flatten"):
        open_environments(Nested, 1)


def test_a_vector_that_is_wrapped_is_not_taken_apart():
    assert isinstance(open_environments(DummyVecEnv([Corridor]), 1), EnvironmentList)
    stacked = open_environments(VecFrameStack(DummyVecEnv([Corridor]), 2), 1)
    assert isinstance(stacked, Sb3Environments)
    assert stacked.observation_space.shape == (4,)


def test_normalisation_around_a_vector_is_taken_off():
    inner = DummyVecEnv([Corridor])
    assert without_normalization(VecNormalize(inner)) is inner
    assert without_normalization(inner) is inner
    assert without_normalization("CartPole-v1") == "CartPole-v1"


def test_an_environment_restarts_from_its_own_seed():
    envs = open_environments("CartPole-v1", 2)
    envs.reset(0, 7)
    envs.reset(1, 8)
    first = envs.obs.copy()
    assert not np.array_equal(first[0], first[1])
    envs.step(np.array([0, 1]))
    envs.reset(0, 7)
    assert np.array_equal(envs.obs[0], first[0])
    assert not np.array_equal(envs.obs[1], first[1])


def test_idle_environments_are_not_stepped():
    envs = EnvironmentList([Corridor(), Corridor()])
    for index in range(2):
        envs.reset(index, 0)
    envs.step(np.array([1, 1]), np.array([True, False]))
    assert [env.t for env in envs.envs] == [1, 0]


def test_a_native_vector_that_restarts_a_step_late_says_so():
    envs = open_environments(gymnasium.make_vec("CartPole-v1", 1), 1)
    assert isinstance(envs, GymnasiumEnvironments)
    envs.reset(0, 0)
    while True:
        assert not envs.restarting[0]
        _, terminated, _ = envs.step(np.array([0]))
        if terminated[0]:
            break
    assert envs.restarting[0]
    envs.step(np.array([0]))
    assert not envs.restarting[0]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("Nowhere-v0", "found 'Nowhere-v0'"),
        ("CartPole-v9", "nearest: CartPole-v1"),
        (3, "found int"),
        (lambda: 3, "it returned int"),
    ],
)
def test_what_is_no_environment_is_named(env, message):
    with pytest.raises(RequestError, match=message):
        open_environments(env, 1)


def test_a_retired_id_names_its_successor():
    with pytest.raises(RequestError, match=r"nearest: LunarLander-v3"):
        open_environments("LunarLander-v2", 1)


def test_a_nan_is_found_with_its_environment_and_step():
    obs = np.zeros((3, 2), np.float32)
    obs[1, 0] = np.nan
    with pytest.raises(RunFault, match=r"returned nan.*environment 1 at step 4 of the rollout, component \[0\]"):
        check_finite(obs, "X-v0", "at step 4 of the rollout")
    check_finite(np.zeros((2, 2), np.uint8), "X-v0", "at step 4 of the rollout")


def test_mujoco_leaves_no_log_where_one_works(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    envs = open_environments("HalfCheetah-v5", 2)
    envs.close()
    assert not list(tmp_path.iterdir())
    assert "WARNING" not in capfd.readouterr().err


def test_a_class_is_a_recipe_and_what_it_makes_is_not():
    assert is_recipe(Corridor)
    assert is_recipe(lambda: Corridor())
    assert is_recipe("CartPole-v1")
    assert not is_recipe(Corridor())
