import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.run.distill import distill
from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor, FormulaTeacher, corridor_teacher

QUICK = {"timesteps": 128, "n_envs": 2, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}


class Gate(Corridor):
    """The first of three actions is forbidden at odd steps, and notes it where it is taken."""

    broken = 0

    def __init__(self):
        super().__init__()
        self.action_space = spaces.Discrete(3)

    def action_masks(self):
        return np.array([self.t % 2 == 0, True, True])

    def step(self, action):
        Gate.broken += not self.action_masks()[int(action)]
        return super().step(action)


def maskable(seed):
    return MaskablePPO("MlpPolicy", Gate(), n_steps=16, batch_size=16, seed=seed, device="cpu")


@pytest.fixture(autouse=True)
def unbroken():
    Gate.broken = 0


MEMBERS = {
    "maskable": lambda: [maskable(0), maskable(1)],
    "mixed": lambda: [maskable(0), PPO("MlpPolicy", Gate(), n_steps=16, batch_size=16, seed=1, device="cpu")],
}


@pytest.mark.parametrize("members", MEMBERS)
def test_an_ensemble_gives_forbidden_actions_no_share(members):
    teacher = load_teacher(MEMBERS[members]())
    assert teacher.takes_action_masks
    obs, starts = np.zeros((2, 3, 2), np.float32), np.zeros((2, 3), bool)
    masks = np.ones((2, 3, 3), bool)
    masks[:, :, 0] = False
    share = teacher.label(obs, starts, None, masks).params.softmax(dim=-1)
    assert share[..., 0].max() == 0.0
    assert np.allclose(share.sum(dim=-1), 1.0)
    assert teacher.label(obs, starts).params.softmax(dim=-1)[..., 0].min() > 0.1
    actions = [teacher.predict(obs[0], action_masks=masks[0])[0] for _ in range(20)]
    assert np.min(actions) == 1
    assert teacher.predict(obs[0, 0], deterministic=True, action_masks=masks[0, 0])[0] in (1, 2)


def test_an_ensemble_under_masks_is_distilled_and_evaluated_under_them():
    teacher = load_teacher([maskable(0), maskable(1)])
    done = distill(teacher, Gate, "mlp:8", **QUICK)
    evaluate(teacher, Gate, 2, deterministic=False)
    assert done.student.takes_action_masks
    assert Gate.broken == 0


class Careful:
    """A script that takes masks, one observation at a time or a batch."""

    def __init__(self, single):
        self.single = single

    def predict(self, observation, state=None, episode_start=None, deterministic=False, action_masks=None):
        assert action_masks is not None, "it was told"
        if self.single:
            assert np.ndim(observation) == 1
            return np.int64(np.argmax(action_masks)), state
        return np.argmax(action_masks, axis=1), state


@pytest.mark.parametrize("single", [True, False])
def test_a_script_that_takes_masks_is_told_them(single):
    teacher = load_teacher(Careful(single), env=Gate)
    assert teacher.takes_action_masks
    if single:
        with pytest.raises(AssertionError):
            Careful(True).predict(np.zeros((2, 2)), action_masks=np.ones((2, 3), bool))
    done = distill(load_teacher(Careful(False), env=Gate), Gate, "mlp:8", **QUICK)
    assert done.student.takes_action_masks
    assert Gate.broken == 0


def test_the_members_of_an_ensemble_take_statistics_together_or_each_its_own(tmp_path):
    def model():
        return PPO("MlpPolicy", Corridor(), n_steps=16, batch_size=16, device="cpu")

    with pytest.raises(RequestError, match="/nonexistent"):
        load_teacher([model(), model()], vecnormalize="/nonexistent")
    with pytest.raises(RequestError, match=r"2 members .* found 1"):
        load_teacher([model(), model()], vecnormalize=["/nonexistent"])
    statistics = VecNormalize(DummyVecEnv([Corridor]), training=False)
    both = load_teacher([model(), model()], vecnormalize=statistics)
    assert all(member.normalizer is not None for member in both.members)
    one = load_teacher([model(), model()], vecnormalize=[None, statistics])
    assert [member.normalizer is None for member in one.members] == [True, False]


def test_members_in_other_wrappers_or_with_other_actions_are_refused():
    plain, wrapped = corridor_teacher(), corridor_teacher()
    wrapped.env_wrappers = [{"name": "FrameStack", "kwargs": {"n_stack": 4}}]
    with pytest.raises(RequestError, match="teachers of one environment, found wrappers"):
        load_teacher([plain, wrapped])
    env = Corridor()
    later = FormulaTeacher(env.observation_space, spaces.Discrete(2), [[0.0, 0.0], [0.0, 3.0]])
    later.action_map = type(later.action_map)("index", (), "int64", start=1)
    with pytest.raises(RequestError, match="found actions"):
        load_teacher([plain, later])


@pytest.mark.parametrize("name", ["n_bytes", "state_dependent_std", "provenance", "normalizer"])
def test_a_teacher_of_ones_own_that_lacks_something_is_refused_by_its_name(name):
    whole = corridor_teacher()

    class Partial:
        def __getattr__(self, asked):
            if asked == name or asked.startswith("__"):
                raise AttributeError(asked)
            return getattr(whole, asked)

    with pytest.raises(RequestError, match=f"found Partial without {name}; add what is missing"):
        load_teacher(Partial(), env=Corridor)
    assert load_teacher(whole) is whole


def test_an_ensemble_of_scripts_acts_by_what_they_say():
    class Right:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.ones(len(observation), np.int64), state

    assert load_teacher([Right(), Right()], env=Corridor).acts_greedily
    assert not load_teacher([corridor_teacher(), corridor_teacher()]).acts_greedily
