import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill import compare, distill, evaluate, export, load_student, load_teacher, train_teacher
from policy_distill.errors import RequestError
from tests.doubles import Corridor, corridor_teacher

QUICK = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}


class Far(gymnasium.Env):
    """Ten steps; observations lie around 100, and action 1 is rewarded where the observation is above that."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action):
        right = int(self.x > 100.0)
        self.t += 1
        return self._obs(), float(action == right), self.t >= 10, False, {}

    def _obs(self):
        self.x = 100.0 + self.np_random.normal()
        return np.array([self.x], np.float32)


def make_model():
    return PPO("MlpPolicy", Corridor(), n_steps=8, batch_size=8, seed=0, device="cpu", policy_kwargs={"net_arch": [4]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a teacher's zip, and a run folder made from it."""
    path = tmp_path_factory.mktemp("sources")
    (path / "agent").mkdir()
    make_model().save(path / "agent" / "teacher.zip")
    distill(path / "agent" / "teacher.zip", Corridor, "linear", out=path / "run", **QUICK)
    return path


TEACHERS = {
    "a path": lambda folder: folder / "agent" / "teacher.zip",
    "a path in words": lambda folder: str(folder / "agent" / "teacher.zip"),
    "a folder": lambda folder: folder / "agent",
    "a live model": lambda folder: PPO.load(folder / "agent" / "teacher.zip", device="cpu"),
    "a list": lambda folder: [folder / "agent" / "teacher.zip"],
    "one that was opened": lambda folder: load_teacher(folder / "agent" / "teacher.zip"),
}
STUDENTS = {
    "a path": lambda folder: folder / "run" / "student.safetensors",
    "a path in words": lambda folder: str(folder / "run" / "student.safetensors"),
    "a run folder": lambda folder: folder / "run",
    "one that was opened": lambda folder: load_student(folder / "run" / "student.safetensors"),
}


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_is_whatever_load_teacher_takes(folder, name):
    source, student = TEACHERS[name](folder), folder / "run"
    opened = load_teacher(folder / "agent" / "teacher.zip")
    expected = distill(opened, Corridor, "linear", **QUICK)
    found = distill(source, Corridor, "linear", **QUICK)
    assert {n: a.tolist() for n, a in found.student.tensors.items()} == {
        n: a.tolist() for n, a in expected.student.tensors.items()
    }
    assert evaluate(source, Corridor, 3).returns.tolist() == evaluate(opened, Corridor, 3).returns.tolist()
    assert compare(source, student, Corridor, 3) == compare(opened, student, Corridor, 3)


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_is_whatever_load_student_takes(folder, tmp_path, name):
    source, teacher = STUDENTS[name](folder), corridor_teacher()
    opened = load_student(folder / "run" / "student.safetensors")
    assert evaluate(source, Corridor, 3).returns.tolist() == evaluate(opened, Corridor, 3).returns.tolist()
    assert compare(teacher, source, Corridor, 3) == compare(teacher, opened, Corridor, 3)
    if name != "a run folder":
        assert export(source, tmp_path / "policy", "numpy", n_states=16).parity.passed


def test_a_policy_with_predict_alone_distils_too():
    class Script:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.ones(len(observation), int) if np.ndim(observation) == 2 else 1, state

    assert evaluate(distill(Script(), Corridor, "linear", **QUICK).student, Corridor, 2).mean > 0


def test_a_live_model_brings_the_statistics_that_it_was_trained_with():
    vec_env = VecNormalize(DummyVecEnv([Far]))
    vec_env.obs_rms.mean, vec_env.obs_rms.var = np.array([100.0]), np.array([1.0])
    model = PPO("MlpPolicy", vec_env, n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": []})
    state = model.policy.state_dict()
    state["action_net.weight"][:] = state["action_net.weight"].new_tensor([[-9.0], [9.0]])
    state["action_net.bias"][:] = 0.0
    model.policy.load_state_dict(state)
    assert evaluate(model, Far, 5).mean == 10.0
    assert evaluate(model, vec_env, 5).mean == 10.0
    assert vec_env.obs_rms.mean.tolist() == [100.0], "looking changes nothing"
    assert compare(model, model, Far, 5).iqm == 1.0
    assert distill(model, Far, "linear", **QUICK).student.normalizer.mean.tolist() == [100.0]


def test_a_live_model_that_left_its_statistics_behind_is_refused_by_all(tmp_path):
    normalized = VecNormalize(DummyVecEnv([Far] * 2))
    model = PPO("MlpPolicy", normalized, n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": [4]})
    model.learn(16).save(tmp_path / "agent.zip")
    moved = PPO.load(tmp_path / "agent.zip", device="cpu")
    for act in (
        lambda: evaluate(moved, Far, 2),
        lambda: compare(moved, moved, Far, 2),
        lambda: distill(moved, Far, **QUICK),
        lambda: load_teacher(moved),
    ):
        with pytest.raises(RequestError, match="statistics are missing"):
            act()
    # Under a vector that normalises it sees what it knows.
    normalized.training = False
    again = evaluate(load_teacher(model), Far, 2).returns
    assert np.array_equal(evaluate(moved, normalized, 2).returns, again)


def test_what_cannot_act_is_refused_with_what_could(folder):
    for call in (lambda: evaluate(3, Corridor), lambda: compare(None, folder / "run", Corridor)):
        with pytest.raises(RequestError, match="an object with predict, found"):
            call()
    with pytest.raises(RequestError):
        distill(object(), Corridor, "linear", **QUICK)
    with pytest.raises(RequestError, match=r"missing\.zip"):
        evaluate(folder / "missing.zip", Corridor)


@pytest.mark.parametrize("env", [Corridor, EnvSpec("Corridor-v0", entry_point=Corridor, max_episode_steps=5)])
def test_a_teacher_is_trained_in_whatever_makes_an_environment(env, tmp_path):
    settings = {"timesteps": 32, "net_arch": (4,), "n_envs": 2, "hyperparameters": {"n_steps": 8, "batch_size": 8}}
    train_teacher(env, out=tmp_path / "teacher.zip", normalize=True, **settings)
    assert evaluate(tmp_path / "teacher.zip", Corridor, 2).n_episodes == 2


def test_a_training_wants_a_recipe_since_it_makes_several(tmp_path):
    with pytest.raises(RequestError, match="found a Corridor"):
        train_teacher(Corridor(), timesteps=32)
