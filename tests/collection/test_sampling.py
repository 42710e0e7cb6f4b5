"""What acting by sampling means: SB3's distribution, reproducible, and without a trace."""

import random

import numpy as np
import pytest
import torch

from policy_distill.collection.sampling import sampled
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.run.distill import distill
from policy_distill.teachers.load import load_teacher
from policy_distill.teachers.sources import as_policy
from tests.doubles import cartpole_teacher
from tests.teachers.test_every_teacher import QUICK, make_env, make_model

GSDE = [
    ("ppo", {"use_sde": True}),
    ("a2c", {"use_sde": True}),
    ("a2c", {"use_sde": True, "policy_kwargs": {"squash_output": True, "full_std": False}}),
    ("sac", {"use_sde": True}),
    ("tqc", {"use_sde": True}),
    ("ppo_lstm", {"use_sde": True}),
]
N_DRAWS = 1500


def spread_out(model):
    """Give a model's noise a spread that differs from the one that a new model has."""
    log_std = getattr(model.policy, "log_std", None)
    with torch.no_grad():
        (model.policy.actor.log_std if log_std is None else log_std).fill_(-0.7)
    return model


def two_steps(predict, seed):
    """Return the actions `[2, N, A]` of the first two steps of `N` episodes in two states."""
    obs = np.array([[0.3, -0.8, 0.5], [0.5, -0.7, 0.6]], np.float32)
    first, state = predict(np.repeat(obs[:1], seed, axis=0), None, np.ones(seed, bool))
    second, _ = predict(np.repeat(obs[1:], seed, axis=0), state, np.zeros(seed, bool))
    return np.stack([first, second])


def moments(drawn):
    """Return means, and the covariance over both steps, of actions `[2, N, A]`, each with its standard error."""
    x = np.concatenate(list(drawn), axis=1)
    centred = x - x.mean(axis=0)
    products = centred[:, :, None] * centred[:, None, :]
    n = len(x)
    return (x.mean(axis=0), x.std(axis=0) / n**0.5), (products.mean(axis=0), products.std(axis=0) / n**0.5)


@pytest.mark.parametrize(("name", "extra"), GSDE, ids=lambda value: str(value))
def test_a_teacher_with_gsde_samples_as_sb3_does_after_loading(name, extra, tmp_path):
    model = spread_out(make_model((name, "box", "vector", extra)))
    model.save(tmp_path / "agent.zip")
    ours = two_steps(sampled(load_teacher(tmp_path / "agent.zip"), 0).predict, N_DRAWS)
    loaded = type(model).load(tmp_path / "agent.zip", device="cpu")
    drawn = []
    for seed in range(N_DRAWS):
        # What `load` does last.
        torch.manual_seed(seed)
        loaded.policy.reset_noise()
        drawn.append(two_steps(lambda *given: loaded.predict(*given, deterministic=False), 1))
    theirs = np.concatenate(drawn, axis=1)
    for (found, error), (expected, other_error) in zip(moments(ours), moments(theirs), strict=True):
        assert np.all(np.abs(found - expected) < 4.5 * np.hypot(error, other_error) + 1e-6)
    assert np.abs(np.corrcoef(ours[0, :, 0], ours[1, :, 0])[0, 1]) > 0.2, "noise that lasts an episode"


@pytest.mark.parametrize("name", ["ppo", "a2c", "sac"])
def test_a_rebuilt_policys_own_predict_has_noise_of_the_trained_spread(name, tmp_path):
    spread_out(make_model((name, "box", "vector", {"use_sde": True}))).save(tmp_path / "agent.zip")
    policy = load_teacher(tmp_path / "agent.zip").policy
    dist = policy.action_dist if name != "sac" else policy.actor.action_dist
    deviation = dist.exploration_mat.std().item()
    n = dist.exploration_mat.numel()
    assert deviation == pytest.approx(np.exp(-0.7), abs=4 * np.exp(-0.7) / (2 * n) ** 0.5)


INDEPENDENT = [("ppo", "box"), ("ppo", "discrete"), ("ppo", "multi_discrete"), ("ppo", "multi_binary"), ("sac", "box")]


@pytest.mark.parametrize(("name", "action"), INDEPENDENT)
def test_a_teacher_samples_each_action_as_sb3_does(name, action):
    model = make_model((name, action, "vector", {}))
    if action == "box" and name == "ppo":
        with torch.no_grad():
            # Wider than what a student may have.
            model.policy.log_std.fill_(2.5)
    obs = np.repeat(np.array([[0.3, -0.8, 0.5]], np.float32), 4000, axis=0)
    ours, _ = sampled(load_teacher(model), 0).predict(obs, None, np.ones(4000, bool))
    torch.manual_seed(0)
    theirs, _ = model.predict(obs, deterministic=False)
    pairs = zip(moments(ours.reshape(1, 4000, -1)), moments(theirs.reshape(1, 4000, -1)), strict=True)
    for (found, error), (expected, other_error) in pairs:
        assert np.all(np.abs(found - expected) < 4.5 * np.hypot(error, other_error) + 1e-6)


def state_of_the_world(model=None):
    found = [random.getstate(), str(np.random.get_state()), torch.random.get_rng_state().tolist()]
    if model is not None:
        found.append(str(model.action_space.np_random.bit_generator.state))
        found += [{k: v.tolist() for k, v in model.policy.state_dict().items()}]
        dist = getattr(model.policy, "action_dist", None)
        found.append(dist.exploration_mat.tolist() if hasattr(dist, "exploration_mat") else None)
    return found


REPEATED = [
    ("ppo", "discrete", {}),
    ("ppo", "box", {"use_sde": True}),
    ("ppo_lstm", "box", {}),
    ("ppo_mask", "discrete", {}),
    ("sac", "box", {}),
    ("dqn", "discrete", {}),
    ("ars", "discrete", {}),
    ("td3", "box", {}),
]


@pytest.mark.parametrize(("name", "action", "extra"), REPEATED, ids=lambda value: str(value))
@pytest.mark.parametrize("as_it_is", [False, True], ids=["teacher", "live"])
def test_one_seed_samples_one_sequence_of_actions_without_a_trace(name, action, extra, as_it_is):
    case = (name, action, "vector", extra)
    model = make_model(case)
    policy = model if as_it_is else load_teacher(model)
    if as_it_is:
        # DQN explores by NumPy's global generator.
        model.exploration_rate = 0.5
    before = state_of_the_world(model)
    runs = []
    for seed in (3, 3, 4):
        runs.append(evaluate(policy, make_env(case), 8, seed, deterministic=False).returns.tolist())
        assert state_of_the_world(model)[:3] == before[:3]
        torch.rand(1), np.random.rand(), random.random()
        before[:3] = state_of_the_world(model)[:3]
    assert runs[0] == runs[1]
    # A new ARS policy is zero everywhere.
    assert runs[1] != runs[2] or name == "ars"
    assert state_of_the_world(model)[3:] == before[3:]


def test_a_student_samples_one_sequence_for_one_seed_and_keeps_its_own():
    student = distill(cartpole_teacher(), "CartPole-v1", "mlp:4", **{**QUICK, "eval_episodes": 0}).student
    student.seed(7)
    obs = np.zeros((50, 4), np.float32)
    expected = student.predict(obs)[0].tolist()
    student.seed(7)
    runs = [evaluate(student, "CartPole-v1", 10, seed, deterministic=False).returns.tolist() for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    assert student.predict(obs)[0].tolist() == expected


class Dice:
    """Draws from every global generator."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        total = torch.rand(1).item() + np.random.rand() + random.random()
        return np.full(len(observation), int(total * 1000) % 2), state


def test_an_object_that_draws_from_global_generators_is_lent_others():
    for policy in (Dice(), load_teacher(Dice(), env="CartPole-v1")):
        before = state_of_the_world()
        runs = [evaluate(policy, "CartPole-v1", 6, seed, deterministic=False).returns.tolist() for seed in (0, 0, 1)]
        assert runs[0] == runs[1] != runs[2]
        assert state_of_the_world() == before


@pytest.mark.parametrize(
    ("name", "action", "expected"),
    [
        ("ppo", "box", True),
        ("a2c", "discrete", True),
        ("sac", "box", True),
        ("ppo_lstm", "discrete", True),
        ("ppo_mask", "discrete", True),
        ("td3", "box", False),
        ("ddpg", "box", False),
        ("ars", "box", False),
        ("ars", "discrete", False),
        ("dqn", "discrete", False),
        ("qrdqn", "discrete", False),
    ],
)
def test_who_has_a_distribution_to_sample_from(name, action, expected):
    model = make_model((name, action, "vector", {}))
    assert load_teacher(model).samples is expected
    both = load_teacher([model, model])
    assert both.samples is expected
    if not expected:
        obs = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
        given = (obs, None, np.ones(64, bool))
        drawn, mode = (sampled(both, 0).predict(*given)[0], both.predict(*given, deterministic=True)[0])
        assert np.array_equal(drawn, mode)


def test_a_script_has_no_distribution_of_its_own():
    assert not load_teacher(Dice(), env="CartPole-v1").samples
    assert not as_policy(Dice(), "CartPole-v1").samples
