"""Values of teachers: where there are any, in the environment's own units, and only when asked."""

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Labels
from policy_distill.teachers.load import load_teacher
from tests.doubles import corridor_teacher
from tests.teachers.test_every_teacher import make_model

WITH_VALUES = {
    name: (name, action, "vector", {})
    for name, action in {
        "ppo": "box", "a2c": "discrete", "trpo": "box", "ppo_mask": "discrete", "dqn": "discrete", "qrdqn": "discrete",
        "td3": "box", "ddpg": "box",
    }.items()
}  # fmt: skip
WITHOUT = {name: (name, "box", "vector", {}) for name in ("sac", "tqc", "ars")}
OBS = np.random.default_rng(0).uniform(-1, 1, (5, 2, 3)).astype(np.float32)
STARTS = np.zeros((5, 2), dtype=bool)


def expected(name, model):
    policy, obs = model.policy, torch.from_numpy(OBS.reshape(10, 3))
    with torch.no_grad():
        if name in ("dqn", "qrdqn"):
            network = policy.q_net if name == "dqn" else lambda x: policy.quantile_net(x).mean(dim=1)
            return network(obs).max(dim=1).values
        if name in ("td3", "ddpg"):
            return policy.critic(obs, policy.actor(obs))[0][:, 0]
        return policy.predict_values(obs)[:, 0]


@pytest.mark.parametrize("saved", [False, True], ids=["live", "saved"])
@pytest.mark.parametrize("name", WITH_VALUES)
def test_a_teacher_says_the_value_that_its_agent_does(name, saved, tmp_path):
    model = make_model(WITH_VALUES[name])
    with torch.no_grad():  # an untrained head is so small that anything would fit
        for parameter in model.policy.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    model.save(tmp_path / "agent.zip")
    teacher = load_teacher(tmp_path / "agent.zip" if saved else model)
    labels = teacher.with_values().label(OBS, STARTS)
    plain = teacher.label(OBS, STARTS)
    assert plain.value is None, "nobody asked"
    assert torch.equal(plain.params, labels.params)
    assert labels.value.shape == (5, 2)
    model.policy.set_training_mode(False)
    torch.testing.assert_close(labels.value.flatten(), expected(name, model))
    assert float(labels.value.std()) > 1e-3
    assert teacher.discount == model.gamma


@pytest.mark.parametrize("name", WITHOUT)
def test_a_teacher_without_a_value_refuses_in_one_line(name):
    teacher = load_teacher(make_model(WITHOUT[name]))
    with pytest.raises(RequestError, match=rf"a value function \(PPO.*found {name}, which|whose") as found:
        teacher.with_values()
    assert "\n" not in str(found.value)


def test_what_only_acts_has_no_value():
    with pytest.raises(RequestError, match="value function"):
        load_teacher([make_model(WITH_VALUES["ppo"])] * 2).with_values()


@pytest.mark.parametrize(
    "options", [{}, {"shared_lstm": True, "enable_critic_lstm": False}, {"enable_critic_lstm": False}]
)
def test_a_recurrent_value_is_that_of_the_whole_episode_in_pieces_too(options, tmp_path):
    model = make_model(("ppo_lstm", "discrete", "vector", {"policy_kwargs": options} if options else {}))
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    model.save(tmp_path / "agent.zip")
    teacher = load_teacher(tmp_path / "agent.zip").with_values()
    starts = STARTS.copy()
    starts[0], starts[3, 1] = True, True
    whole = teacher.label(OBS, starts)
    first = teacher.label(OBS[:2], starts[:2])
    rest = teacher.label(OBS[2:], starts[2:], first.state)
    torch.testing.assert_close(torch.cat([first.value, rest.value]), whole.value)
    torch.testing.assert_close(load_teacher(model).label(OBS, starts).params, whole.params)
    # Step by step, as SB3 asks while it trains.
    model.policy.set_training_mode(False)
    state, values = None, []
    for obs, begun in zip(OBS, starts, strict=True):
        with torch.no_grad():
            _, value, _, state = model.policy.forward(
                torch.from_numpy(obs), state or zeros(model), torch.from_numpy(begun).float(), deterministic=True
            )
        values.append(value[:, 0])
    torch.testing.assert_close(torch.stack(values), whole.value)


def zeros(model):
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    lstm = model.policy.lstm_actor
    one = torch.zeros(lstm.num_layers, 2, lstm.hidden_size)
    return RNNStates((one, one), (one, one))


class Paid(gymnasium.Env):
    """Ten steps that pay 500 each."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age = 0
        return self.look(), {}

    def step(self, action):
        self.age += 1
        return self.look(), 500.0, self.age == 10, False, {}

    def look(self):
        return np.array([self.age / 10, 0.0, 0.0], np.float32)


def normalized_agent(folder, **options):
    env = VecNormalize(DummyVecEnv([Paid] * 4), norm_obs=False, gamma=0.9, **options)
    model = PPO("MlpPolicy", env, n_steps=40, batch_size=40, n_epochs=20, gamma=0.9, seed=0, learning_rate=3e-3)
    model.learn(4000)
    model.save(folder / "agent.zip")
    env.save(folder / "vecnormalize.pkl")
    return folder / "agent.zip"


def test_a_value_is_in_the_units_of_raw_rewards(tmp_path):
    teacher = load_teacher(normalized_agent(tmp_path)).with_values()
    first = np.zeros((1, 1, 3), np.float32)
    found = float(teacher.label(first, np.ones((1, 1), bool)).value)
    true = 500 * sum(0.9**k for k in range(10))
    assert found == pytest.approx(true, rel=0.15)
    assert teacher.discount == 0.9


def test_rewards_that_were_left_alone_are_not_scaled(tmp_path):
    path = normalized_agent(tmp_path, norm_reward=False)
    assert load_teacher(path).return_scale == 1.0
    assert load_teacher(path, vecnormalize=False).return_scale == 1.0


def test_statistics_that_do_not_say_the_scale_stop_who_asks_for_values_alone(tmp_path):
    path = normalized_agent(tmp_path)
    statistics = VecNormalize.load(str(tmp_path / "vecnormalize.pkl"), DummyVecEnv([Paid]))
    statistics.ret_rms.var = np.float64("nan")
    statistics.save(str(tmp_path / "vecnormalize.pkl"))
    teacher = load_teacher(path)
    assert teacher.label(OBS, STARTS).params.shape == (5, 2, 2)
    with pytest.raises(RequestError, match="ret_rms"):
        teacher.with_values()


def test_a_file_without_the_critic_acts_and_says_no_value(tmp_path):
    model = make_model(WITH_VALUES["ppo"])
    kept = {k: v for k, v in model.policy.state_dict().items() if not k.startswith("value_net.")}
    model.policy.state_dict = lambda *a, **k: kept
    model.save(tmp_path / "agent.zip")
    teacher = load_teacher(tmp_path / "agent.zip")
    assert teacher.label(OBS, STARTS).params.shape == (5, 2, 4)
    with pytest.raises(RequestError, match=r"without value_net\.weight"):
        teacher.with_values()


def test_a_teacher_of_ones_own_says_values_where_its_labels_do():
    class Own:
        discount = 0.5

        def __init__(self):
            vars(self).update(vars(corridor_teacher()))
            self.env_wrappers, self.normalizer, self.state_dependent_std = [], None, False
            self.n_params, self.n_bytes = 6, 24

        def label(self, obs, episode_starts, state=None, action_masks=None):
            params = corridor_teacher().label(obs, episode_starts).params
            return Labels(params, value=params[..., 1])

        def predict(self, *arguments):
            return corridor_teacher().predict(*arguments)

    teacher = load_teacher(Own())
    obs = np.ones((3, 1, 2), np.float32)
    assert teacher.with_values().label(obs, np.zeros((3, 1), bool)).value.tolist() == [[3.0]] * 3
    assert teacher.discount == 0.5
