"""An environment of which one instance may exist at a time is distilled, judged and compared as any other."""

import os

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill import compare, distill, evaluate, load_teacher
from policy_distill.errors import RequestError, RunFault

QUICK = {"timesteps": 256, "n_steps": 64, "eval_episodes": 3, "select_episodes": 2}
ONE = {"n_envs": 1, "n_eval_envs": 1}


class Lone(gymnasium.Env):
    """A simulator on a port of its own: a second one beside the first fails, in whatever process it is made."""

    observation_space = spaces.Box(0.0, 1.0, (4,), np.float32)
    action_space = spaces.Discrete(4)
    lock = None

    def __init__(self):
        # Exclusive among processes too, as a port is.
        self.held = os.open(self.lock, os.O_CREAT | os.O_EXCL)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = 0
        return self._look(), {}

    def step(self, action):
        reward = float(action == self.lit)
        self.n += 1
        return self._look(), reward, False, self.n >= 10, {}

    def _look(self):
        self.lit = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self.lit]

    def close(self):
        if self.held is not None:
            os.close(self.held)
            os.unlink(self.lock)
            self.held = None


class Shared(Lone):
    """The same, of which any number may exist."""

    def __init__(self):
        self.held = None


class Knowing:
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.argmax(observation, axis=-1), state


@pytest.fixture(autouse=True)
def port(tmp_path, monkeypatch):
    monkeypatch.setattr(Lone, "lock", str(tmp_path / "port"))
    gymnasium.register("Lone-v0", Lone)
    yield tmp_path / "port"
    gymnasium.registry.pop("Lone-v0")


@pytest.mark.parametrize("env", ["Lone-v0", Lone])
def test_one_instance_is_borrowed_by_all_who_need_it(env, port):
    teacher = load_teacher(Knowing(), env=env)
    result = distill(teacher, env, "linear", **ONE, **QUICK)
    assert result.evaluation["student"]["mean"] == 10.0
    assert result.evaluation["n_episodes"] == 3
    assert not port.exists()
    assert evaluate(result.student, env, 2, n_envs=1).mean == 10.0
    assert compare(teacher, result.student, env, 2, n_envs=1).iqm == pytest.approx(1.0)
    assert not port.exists()


def test_one_that_is_handed_over_serves_as_well(port):
    env = gymnasium.make("Lone-v0")
    teacher = load_teacher(Knowing(), env=env)
    assert distill(teacher, env, "linear", **QUICK).evaluation["student"]["mean"] == 10.0
    env.close()


def test_a_second_instance_is_refused_with_what_to_do(port):
    teacher = load_teacher(Knowing(), env=Lone)
    for act in (
        lambda: distill(teacher, Lone, "linear", **QUICK),
        lambda: evaluate(teacher, "Lone-v0", 4),
    ):
        with pytest.raises(RequestError, match=r"Lone.* made.*--n-envs 1 .*--n-eval-envs 1.*pass one") as refusal:
            act()
        assert str(refusal.value).count("--n-eval-envs 1") == 1, "the advice stands there once"
        assert not port.exists()


def test_what_judges_beside_the_training_says_so_too(port):
    with pytest.raises(RunFault, match=r"could not be made .*--n-envs 1 .*--n-eval-envs 1"):
        distill(load_teacher(Knowing(), env=Lone), Lone, "linear", n_envs=1, **QUICK)


def test_where_a_second_can_be_made_nothing_is_borrowed():
    weights = [
        distill(load_teacher(Knowing(), env=Shared), env, "linear", **ONE, **QUICK).student.tensors
        for env in (Shared, lambda: Shared())
    ]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
