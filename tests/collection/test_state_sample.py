import gymnasium
import numpy as np
import pytest
import torch

from policy_distill import distill
from policy_distill.collection.state_sample import sample_states
from policy_distill.environments.listed import EnvironmentList
from policy_distill.evaluation.compare import fidelity_on_own_states
from policy_distill.exporters.states import collect_states
from policy_distill.interfaces.policies import Labels
from tests.doubles import Corridor, FormulaTeacher, corridor_teacher


class Clock(gymnasium.Env):
    """Shows the share of the episode that is over, and its count of steps."""

    def __init__(self, length=2000):
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.length, self.t, self.n_steps = length, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action):
        self.t, self.n_steps = self.t + 1, self.n_steps + 1
        return self._obs(), float(action), False, self.t >= self.length, {}

    def _obs(self):
        return np.array([self.t / self.length if self.length else 0.0, 1.0], np.float32)


def clock_teacher(turn):
    """Prefers action 1 until the share `turn` of the episode is over, then action 0."""
    env = Clock()
    return FormulaTeacher(env.observation_space, env.action_space, [[9.0, 0.0], [0.0, 9.0 * turn]])


class Remembering(FormulaTeacher):
    """Prefers the action that is the parity of the steps since the episode began: no state says it."""

    def label(self, obs, episode_starts, state=None, action_masks=None):
        n_steps, n_envs = episode_starts.shape
        count = np.zeros(n_envs, np.int64) if state is None else state
        logits = torch.zeros(n_steps, n_envs, 2)
        for step in range(n_steps):
            count = np.where(episode_starts[step], 0, count)
            logits[step, np.arange(n_envs), count % 2] = 5.0
            count = count + 1
        return Labels(logits, count)


class Always:
    def __init__(self, action=1):
        self.action = action

    def predict(self, observation, state=None, episode_start=None, deterministic=False, action_masks=None):
        return np.full(len(observation), self.action), state


def test_every_step_of_whole_episodes_is_equally_likely_to_be_drawn():
    envs = EnvironmentList([Clock(100) for _ in range(4)])
    times = np.concatenate([np.rint(sample_states(envs, seed, Always(), 100).obs[:, 0] * 100) for seed in range(100)])
    counts = np.bincount(times.astype(int), minlength=100)
    assert len(counts) == 100
    # 10,000 draws over 100 places: each has 100 up to a deviation of 9 (they are drawn without repetition).
    assert counts.sum() == 10_000
    assert np.abs(counts - 100).max() < 50
    assert abs(times.mean() - 49.5) < 1.0


def test_the_sample_is_the_same_for_the_same_seed_and_no_state_comes_twice():
    found = [sample_states(EnvironmentList([Clock(300) for _ in range(2)]), 3, Always(), 200) for _ in range(2)]
    assert np.array_equal(found[0].obs, found[1].obs)
    assert found[0].n_steps == 600, "two whole episodes, though 100 steps of each would have been enough"
    other = sample_states(EnvironmentList([Clock(300) for _ in range(2)]), 4, Always(), 200)
    assert not np.array_equal(found[0].obs, other.obs)
    assert max(np.unique(found[0].obs[:, 0], return_counts=True)[1]) <= 2, "once for each environment at most"


def test_short_episodes_are_run_until_there_is_enough():
    found = sample_states(EnvironmentList([Corridor(length=3), Corridor(length=7)]), 0, corridor_teacher(), 20)
    assert len(found.obs) == 20
    # Ten steps of each at least, and then to the end of the episode: 12 and 14.
    assert found.n_steps == 26


def test_an_episode_that_never_ends_is_looked_at_for_a_bounded_number_of_steps():
    envs = [Clock(0), Clock(0)]
    for env in envs:
        env.length = 10**9
    found = sample_states(EnvironmentList(envs), 0, Always(), 40, max_steps=1000)
    assert [env.n_steps for env in envs] == [500, 500]
    assert (len(found.obs), found.n_steps) == (40, 1000)


def test_a_teacher_with_a_memory_labels_the_states_along_their_episodes():
    space = Clock().observation_space, Clock().action_space
    teacher = Remembering(*space, [[0.0, 0.0], [0.0, 0.0]])
    envs = EnvironmentList([Clock(50), Clock(80)])
    found = sample_states(envs, 0, Always(), 100, teacher=teacher)
    lengths = np.where(np.isclose(found.obs[:, 0] * 50 % 1, 0, atol=1e-4), 50, 80)
    steps = np.rint(found.obs[:, 0].astype(np.float64) * lengths).astype(int)
    # Shares that both lengths have, such as a half, do not say which it was.
    clear = ~np.isclose(found.obs[:, 0] * 10 % 1, 0, atol=1e-4) & ~np.isclose(found.obs[:, 0] * 10 % 1, 1, atol=1e-4)
    assert clear.sum() > 50
    assert np.array_equal(found.params.argmax(1).numpy()[clear], steps[clear] % 2)


def test_a_teacher_without_a_memory_is_asked_about_what_was_drawn_alone():
    teacher = clock_teacher(0.5)
    found = sample_states(EnvironmentList([Clock(1000)]), 0, Always(), 50, teacher=teacher)
    assert found.params.shape == (50, 2)
    assert torch.equal(found.params, torch.from_numpy(found.obs) @ teacher.weight)
    assert teacher.n_labels == 2, "once to see whether it remembers, once for all"


def test_masks_come_with_their_states():
    class Masked(Clock):
        def action_masks(self):
            return np.array([self.t % 2 == 0, True])

    found = sample_states(EnvironmentList([Masked(64)]), 0, Always(), 30, masked=True)
    assert np.array_equal(found.action_masks[:, 0], np.rint(found.obs[:, 0] * 64) % 2 == 0)


SHORT = {"timesteps": 1024, "n_envs": 8, "n_steps": 64, "eval_episodes": 0, "select_episodes": 0}


def test_actions_that_differ_late_in_long_episodes_are_seen():
    teacher = clock_teacher(0.75)
    student = distill(teacher, Clock, "linear", **SHORT).student
    tensors = {**student.tensors, "network.0.weight": np.zeros((2, 2), np.float32)}
    # The teacher's choice in the first 1,500 of 2,000 steps.
    always = type(student)({**tensors, "network.0.bias": np.float32([-1.0, 1.0])}, student.metadata)
    assert fidelity_on_own_states(teacher, always, Clock).agreement == pytest.approx(0.75, abs=0.05)
    obs, _ = collect_states(always, Clock, 400, 0)
    assert np.mean(obs[:, 0] > 0.75) == pytest.approx(0.25, abs=0.08)


def test_the_fidelity_of_a_run_is_that_of_whole_episodes():
    teacher = clock_teacher(0.75)
    # It learns nothing to speak of: the same action in nearly every state.
    result = distill(teacher, Clock, "linear", normalize="none", learning_rate=1e-6, **SHORT)
    obs = np.stack([np.linspace(0, 1, 2000, endpoint=False), np.ones(2000)], axis=1).astype(np.float32)
    everywhere = np.mean(
        teacher.predict(obs, deterministic=True)[0] == result.student.predict(obs, deterministic=True)[0]
    )
    assert result.evaluation["agreement"] == pytest.approx(everywhere, abs=0.05)
