"""A student that remembers, in C, drives CartPole without speeds as the student in Python does."""

import ctypes

import gymnasium
import numpy as np

from policy_distill.exporters.c import load_compiled
from policy_distill.exporters.export import export
from policy_distill.run.distill import distill
from tests.doubles import cartpole_teacher

N_EPISODES = 100
POINTER = ctypes.c_void_p


def drive(env, seed, reset, act):
    """Return the actions of one episode."""
    obs, _ = env.reset(seed=seed)
    reset()
    actions, ended = [], False
    while not ended:
        actions.append(int(act(obs)))
        obs, _, terminated, truncated, _ = env.step(actions[-1])
        ended = terminated or truncated
    return actions


def test_c_drives_blind_cartpole_for_100_episodes_as_python_does_episode_by_episode(tmp_path):
    settings = {"timesteps": 12_000, "observe": "0,2", "eval_episodes": 0, "seed": 0}
    student = distill(cartpole_teacher(), "CartPole-v1", "gru:16", **settings).student
    result = export(student, tmp_path / "policy", "c", env="CartPole-v1", n_states=500)
    assert result.parity.states == "CartPole-v1" and result.parity.n_visited == 500
    library, action, env = load_compiled(tmp_path / "policy"), np.zeros(1, np.int32), gymnasium.make("CartPole-v1")

    def act_in_c(obs):
        seen = np.ascontiguousarray(obs[[0, 2]], np.float32)
        library.policy_act(seen.ctypes.data_as(POINTER), action.ctypes.data_as(POINTER))
        return action[0]

    lengths = []
    for seed in range(N_EPISODES):
        by_student = drive(env, seed, student.reset, student.act)
        assert drive(env, seed, library.policy_reset, act_in_c) == by_student
        lengths.append(len(by_student))
    assert np.mean(lengths) > 100, "a random policy balances for 22 steps"
