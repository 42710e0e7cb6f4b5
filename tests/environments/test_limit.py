import logging
import os
import signal

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from policy_distill.environments.limit import DEFAULT_STEPS, is_reproducible, limit_of
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.evaluation import trace as episode_trace
from policy_distill.evaluation.compare import compare
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.trace import N_PHASES, Trace
from policy_distill.run.distill import distill
from policy_distill.system import notices
from policy_distill.system.interrupts import Interrupted, Interrupts
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher


class Endless(Corridor):
    """Never ends; its observation shows the hour."""

    def step(self, action):
        self.t = (self.t + 1) % 10
        return self._obs(), float(action), False, False, {}


class Stubborn(Corridor):
    """Begins where it likes, whatever the seed."""

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        return obs + np.float32(np.random.default_rng().random() / 10), info


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(notices, "SAID", set())


def test_an_episode_that_never_ends_is_stopped_and_it_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        found = evaluate(corridor_teacher(), Endless, 5, max_episode_steps=40)
    assert found.returns.tolist() == [40.0] * 5
    assert found.lengths.tolist() == [40] * 5
    assert found.phases.tolist() == [[4.0] * 10] * 5
    assert found.n_cut == found.to_json()["n_cut"] == 5
    assert "5 of 5 episodes were stopped after 40 steps" in caplog.text
    assert "--max-episode-steps" in caplog.text


def test_the_limit_is_the_specifications_and_else_the_default():
    class Registered(Endless):
        spec = EnvSpec("Registered-v0", max_episode_steps=7)

    found = evaluate(corridor_teacher(), Registered, 2)
    assert found.lengths.tolist() == [7, 7]
    assert found.n_cut == 2, "no wrapper is there to end it"
    assert evaluate(pendulum_teacher(), "Pendulum-v1", 2).n_cut == 0
    assert limit_of(open_environments(Endless, 1), None) == limit_of(open_environments(Endless, 1), 0) == DEFAULT_STEPS
    assert limit_of(open_environments("Pendulum-v1", 1), 7) == 7
    assert open_environments(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]), 1).max_episode_steps == 200


@pytest.mark.parametrize("vector", [False, True])
def test_a_comparison_and_a_distillation_of_an_endless_environment_end(vector, tmp_path):
    env = DummyVecEnv([Endless] * 2) if vector else Endless
    kept = compare(corridor_teacher(), corridor_teacher(), env, 4, max_episode_steps=30)
    assert kept.iqm == 1.0
    settings = {"timesteps": 128, "n_envs": 2, "n_steps": 16, "eval_episodes": 3, "select_episodes": 2}
    done = distill(corridor_teacher(), env, "linear", **settings, max_episode_steps=25, out=tmp_path / "run")
    assert done.comparison.student.lengths.tolist() == [25] * 3
    assert done.evaluation["student"]["n_cut"] == 3


def test_episodes_after_one_that_was_cut_begin_from_their_own_seeds():
    class EndlessIfEven(Corridor):
        def reset(self, *, seed=None, options=None):
            self.length = 10**9 if seed % 2 == 0 else 5
            return super().reset(seed=seed, options=options)

    found = evaluate(corridor_teacher(), EndlessIfEven, 6, n_envs=2, max_episode_steps=12)
    assert found.lengths.tolist() == [12, 5] * 3
    assert found.n_cut == 3


def test_a_negative_limit_is_refused():
    with pytest.raises(RequestError, match="--max-episode-steps"):
        evaluate(corridor_teacher(), Corridor, 2, max_episode_steps=-1)
    with pytest.raises(RequestError, match="max_episode_steps"):
        distill(corridor_teacher(), Corridor, "linear", max_episode_steps=-1)


def test_the_rewards_of_a_very_long_episode_take_bounded_room_and_sum_to_its_return(monkeypatch):
    n_cells = 2048
    monkeypatch.setattr(episode_trace, "MAX_CELLS", n_cells)
    trace, rewards = Trace(2), np.random.default_rng(0).normal(size=3 * n_cells + 5)
    for reward in rewards:
        trace.add(np.array([reward, 1.0]), np.array([True, False]))
    assert trace._cells.shape == (n_cells, 2)
    np.testing.assert_allclose(trace.phases(0).sum(), rewards.sum())
    exact = np.bincount(np.arange(len(rewards)) * N_PHASES // len(rewards), rewards, N_PHASES)
    # A boundary that is late by a cell of four steps moves four rewards at most from one part to the next.
    assert np.abs(trace.phases(0) - exact).max() < 8 * np.abs(rewards).max()
    assert trace.phases(1).tolist() == [0.0] * N_PHASES
    trace.begin(0)
    trace.add(np.array([3.0, 1.0]), np.array([True, False]))
    assert trace.phases(0).tolist() == [3.0] + [0.0] * 9


def test_an_environment_that_ignores_its_seed_makes_no_pairs_and_it_is_said(caplog):
    assert is_reproducible(open_environments(Corridor, 3))
    assert is_reproducible(open_environments("CartPole-v1", 3))
    assert not is_reproducible(open_environments(Stubborn, 1))
    with caplog.at_level(logging.WARNING):
        found = compare_policies(corridor_teacher(), corridor_teacher(), Stubborn, ProofPlan(4, 0))
    assert not found.paired
    assert caplog.text.count("ignores the seed of reset") == 1


def test_environments_that_differ_from_each_other_make_no_pairs():
    class Own(Corridor):
        made = 0

        def __init__(self):
            super().__init__()
            Own.made += 1
            self.t0 = Own.made / 100

        def _obs(self):
            return super()._obs() + np.float32(self.t0)

    assert is_reproducible(open_environments(Own, 1))
    assert not is_reproducible(open_environments(Own, 2))


def test_a_vector_makes_pairs_of_its_first_episodes_alone(caplog):
    def vector():
        return VecMonitor(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 3))

    assert evaluate(cartpole_teacher(), vector(), 3).paired
    assert not caplog.records
    assert not evaluate(cartpole_teacher(), vector(), 4).paired
    assert "only the first 3" in caplog.text


def test_whether_episodes_are_pairs_stands_in_the_record(tmp_path):
    settings = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 3, "select_episodes": 0}
    assert distill(corridor_teacher(), Corridor, "linear", **settings).evaluation["paired"] is True
    assert distill(corridor_teacher(), Stubborn, "linear", **settings).evaluation["paired"] is False


def test_a_stop_is_obeyed_within_a_step_of_an_episode():
    class Asked(Endless):
        steps = 0

        def step(self, action):
            Asked.steps += 1
            if Asked.steps == 7:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().step(action)

    with Interrupts(), pytest.raises(Interrupted, match="while episodes were run"):
        evaluate(corridor_teacher(), Asked, 1)
    assert Asked.steps == 7
    with Interrupts(), pytest.raises(Interrupted):
        # Those that are stopped leave nothing behind: another run is asked anew.
        os.kill(os.getpid(), signal.SIGTERM)
        evaluate(corridor_teacher(), Corridor, 1)
    assert evaluate(corridor_teacher(), Corridor, 1).n_episodes == 1
