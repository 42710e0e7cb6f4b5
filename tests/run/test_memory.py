"""Runs of students that remember: who acts, who teaches, and what is measured along episodes."""

import gymnasium
import numpy as np
import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from policy_distill import evaluate
from policy_distill.collection.actors import MixedActor, TakesOver
from policy_distill.collection.along import outputs_along
from policy_distill.collection.collector import Collector
from policy_distill.collection.dealt import Dealt
from policy_distill.collection.state_sample import sample_states
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.evaluation.compare import fidelity_on_own_states
from policy_distill.run.distill import distill
from tests.doubles import cartpole_teacher
from tests.students import make_student

QUICK = {"timesteps": 2048, "n_envs": 4, "n_steps": 64, "eval_episodes": 4, "select_episodes": 2, "seed": 0}
GRU = ("vector", "discrete", "gru:8", "tanh")


class Remembers:
    """An actor whose actions are how many steps of the episode it has seen."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False, **options):
        before = np.zeros(len(observation)) if state is None else state
        now = np.where(episode_start, 0, before) + 1
        return now, now


@pytest.fixture(scope="module")
def blind():
    return distill(cartpole_teacher(), "CartPole-v1", "gru:8", observe="0,2", **{**QUICK, "timesteps": 6000})


def test_a_run_of_a_student_that_remembers_is_proven_and_measured_along_episodes(blind):
    assert blind.student.plan.memory.size == 10
    assert 0.0 < blind.evaluation["agreement"] <= 1.0 and np.isfinite(blind.evaluation["kl"])
    found = fidelity_on_own_states(cartpole_teacher(), blind.student, "CartPole-v1", seed=3)
    assert 0.5 < found.agreement <= 1.0


def test_stable_baselines3_evaluates_it_as_we_do(blind):
    envs = DummyVecEnv([lambda: Monitor(gymnasium.make("CartPole-v1"))] * 3)
    envs.seed(0)
    returns, lengths = evaluate_policy(blind.student, envs, 9, return_episode_rewards=True)
    ours = evaluate(blind.student, "CartPole-v1", 30)
    assert returns == lengths
    # Not the same episodes, but the same policy, which one that forgets is not.
    assert abs(np.mean(returns) - ours.mean) < 0.6 * ours.mean


def test_a_sample_of_states_has_the_outputs_that_were_made_along_the_episodes(blind):
    envs = open_environments("CartPole-v1", 2)
    sample = sample_states(envs, 5, blind.student, 100_000, followed=blind.student, max_steps=400)
    rollout = Collector(open_environments("CartPole-v1", 2), 5).collect(blind.student, 3, True, 0.0)
    along, _ = outputs_along(blind.student, rollout.obs, rollout.episode_starts)
    assert sample.outputs.shape == (len(sample.obs), 2) and along.shape == (3, 2, 2)
    alone = blind.student.network_outputs(sample.obs)
    assert not np.allclose(sample.outputs, alone, atol=1e-3)
    envs.close()


@pytest.mark.parametrize("student", ["gru:4", "history:2+mlp:4", "history:3a+mlp:4"])
def test_a_recurrent_teacher_may_have_a_student_that_remembers(student):
    teacher = RecurrentPPO("MlpLstmPolicy", gymnasium.make("CartPole-v1"), n_steps=32, batch_size=32, seed=0)
    result = distill(teacher, "CartPole-v1", student, actor="mixed", **QUICK)
    assert result.student.plan.memory.size > 0


def test_a_wrapper_of_the_students_own_and_a_memory_go_together():
    result = distill(cartpole_teacher(), "CartPole-v1", "gru:4", observe="0,2", student_wrapper=Noisy, **QUICK)
    assert result.student.plan.memory.size == 6


class Noisy(gymnasium.ObservationWrapper):
    """Adds a little noise."""

    def observation(self, observation):
        return observation + self.np_random.normal(0, 0.01, observation.shape).astype(np.float32)


def test_who_takes_over_begins_with_nothing_remembered_and_then_remembers():
    actor, obs = TakesOver(Remembers()), np.zeros((2, 1))
    starts, going = np.ones(2, bool), np.zeros(2, bool)
    assert actor.predict(obs, ("a teacher's",), going)[1].tolist() == [1, 1]
    assert actor.predict(obs, np.array([1.0, 1.0]), going)[1].tolist() == [2, 2]
    assert actor.predict(obs, np.array([2.0, 2.0]), starts)[1].tolist() == [1, 1]


def test_a_mixture_hands_each_its_own_state():
    mixed, obs = MixedActor(Remembers(), Remembers(), 0.5, np.random.default_rng(0)), np.zeros((2, 1))
    _, state = mixed.predict(obs, None, np.ones(2, bool))
    actions, state = mixed.predict(obs, state, np.zeros(2, bool))
    assert state["teacher"].tolist() == state["student"].tolist() == actions.tolist() == [2, 2]


def test_a_mixture_lets_a_student_remember_what_was_done_and_not_what_it_would_have():
    student = make_student(("vector", "discrete", "history:3a+mlp:8", "tanh"))

    class Other:
        def predict(self, observation, state=None, episode_start=None, deterministic=False, **options):
            return 3 - student.predict(observation, None, None, deterministic=True)[0], None

    mixed = MixedActor(Other(), student, 0.5, np.random.default_rng(0), student.plan.remember)
    obs, state = np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32), None
    for step in range(2):
        before = state
        actions, state = mixed.predict(obs, state, np.full(64, step == 0), deterministic=True)
        assert np.array_equal(state["student"][:, 10:14], np.eye(4)[actions])
    assert np.array_equal(state["student"][:, 14:18], before["student"][:, 10:14])


def test_students_that_are_dealt_environments_remember_each_in_its_own():
    one, other = make_student(GRU, 0), make_student(GRU, 1)
    obs = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    dealt, state, starts = Dealt([one, other, one]), None, np.ones(3, bool)
    for step in range(4):
        actions, state = dealt.predict(obs[step], state, starts, True)
        starts = np.array([step == 1, False, False])
    begins = np.array([[True] * 3, [False] * 3, [True, False, False], [False] * 3])
    for student, rows in ((one, [0, 2]), (other, [1])):
        outputs, _ = outputs_along(student, obs[:, rows], begins[:, rows])
        assert actions[rows].tolist() == student.plan.actions(outputs[-1]).tolist()


def test_a_recurrent_student_of_images_is_refused_before_the_first_step():
    class Sees(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, (36, 36, 1), np.uint8)
        action_space = gymnasium.spaces.Discrete(2)

    from stable_baselines3 import PPO

    teacher = PPO("CnnPolicy", Sees(), policy_kwargs={"net_arch": [4]}, n_steps=8, batch_size=8)
    with pytest.raises(RequestError, match="expected vectors for a gru, found images"):
        distill(teacher, Sees, "gru:8", **QUICK)
