"""What was written elsewhere becomes a teacher or a policy with everything, where it comes in."""

import numpy as np
import pytest
import torch

from policy_distill.evaluation.evaluate import evaluate
from policy_distill.interfaces.policies import Labels, Policy, Teacher
from policy_distill.run.distill import distill
from policy_distill.teachers.base import BaseTeacher
from policy_distill.teachers.load import load_teacher
from policy_distill.teachers.outside import OutsidePolicy, OutsideTeacher
from policy_distill.teachers.sources import as_policy, as_teacher
from tests.doubles import Corridor, corridor_teacher

QUICK = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}


class Own:
    """A teacher of somebody's own, of what was asked of one before: its `label` returns a pair."""

    def __init__(self):
        self.plain = corridor_teacher()
        for name in ("observation_space", "action_space", "family", "action_map", "provenance"):
            setattr(self, name, getattr(self.plain, name))
        self.normalizer, self.state_dependent_std, self.env_wrappers = None, False, []
        self.n_params, self.n_bytes = 4, 16

    def label(self, obs, episode_starts, state=None, action_masks=None):
        return self.plain.label(obs, episode_starts).params, "a memory"

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.plain.predict(observation, state, episode_start, deterministic)


class Fitted(Own):
    """One that calibrates itself, in a copy."""

    calibration = None

    def calibrated(self, obs):
        return self.with_calibration(float(obs.shape[0]))

    def with_calibration(self, value):
        one = Fitted()
        one.calibration, one.fixed = value, True
        return one


@pytest.mark.parametrize("door", [lambda own: as_teacher(own, Corridor), load_teacher])
def test_a_pair_becomes_labels_at_the_door(door):
    teacher = door(Own())
    obs, starts = np.ones((3, 2, 2), np.float32), np.zeros((3, 2), bool)
    labels = teacher.label(obs, starts)
    assert isinstance(labels, Labels)
    assert torch.equal(labels.params, corridor_teacher().label(obs, starts).params)
    assert (labels.state, labels.value) == ("a memory", None)


def test_an_own_teacher_has_all_that_the_contract_has():
    teacher = as_teacher(Own(), Corridor)
    assert isinstance(teacher, Teacher)
    assert not isinstance(Own(), Teacher)
    assert (teacher.samples, teacher.acts_greedily, teacher.takes_action_masks) == (True, False, False)
    assert teacher.calibrated(np.ones((3, 2, 2))) is teacher
    assert (teacher.calibration, teacher.fixed, teacher.asked_for, teacher.weights()) == (None, False, None, None)
    assert teacher.n_params == 4


def test_what_an_own_teacher_says_of_itself_counts():
    own = Own()
    own.acts_greedily, own.env_kwargs, own.takes_action_masks = True, {"length": 5}, True
    teacher = as_teacher(own, Corridor)
    assert (teacher.samples, teacher.acts_greedily, teacher.takes_action_masks) == (False, True, True)
    assert teacher.env_kwargs == {"length": 5}
    own.samples = True
    assert as_teacher(own, Corridor).samples


def test_an_own_calibration_is_a_copys_and_stays_its_own():
    own = as_teacher(Fitted(), Corridor)
    fitted = own.calibrated(np.ones((3, 2, 2), np.float32))
    assert (own.calibration, own.fixed) == (None, False)
    assert (fitted.calibration, fitted.fixed) == (3.0, True)
    assert isinstance(fitted, OutsideTeacher)
    assert own.with_calibration(2.0).calibration == 2.0


def test_one_that_passes_questions_on_to_a_teacher_inside_stays_itself():
    class Around:
        def __init__(self):
            self.inside = corridor_teacher()

        def __getattr__(self, name):
            return getattr(self.__dict__["inside"], name)

        def label(self, obs, episode_starts, state=None, action_masks=None):
            return -self.inside.label(obs, episode_starts).params, None

    teacher = as_teacher(Around(), Corridor)
    assert teacher.calibrated(np.ones((3, 2, 2))) is teacher
    assert teacher.with_calibration(1.0) is teacher


def test_an_own_teacher_with_a_network_is_told_by_its_weights():
    own = Own()
    own.policy = torch.nn.Linear(2, 1)
    own.policy.normalize_images = False
    teacher = as_teacher(own, Corridor)
    assert sorted(teacher.weights()) == ["bias", "weight"]
    assert not teacher.scales_images


def test_an_own_teacher_distils_as_one_that_has_everything():
    found, expected = (distill(teacher, Corridor, "linear", **QUICK) for teacher in (Own(), corridor_teacher()))
    for name, array in expected.student.tensors.items():
        assert np.array_equal(found.student.tensors[name], array), name


def test_an_object_with_predict_becomes_a_policy_once():
    class Script:
        n_params = 3

        def predict(self, observation, state=None, episode_start=None, deterministic=False, action_masks=None):
            return np.ones(len(observation), int), state

    policy = as_policy(Script(), Corridor)
    assert isinstance(policy, OutsidePolicy)
    assert as_policy(policy, Corridor) is policy
    assert (policy.n_params, policy.takes_action_masks, policy.takes_raw) == (3, True, False)
    assert (policy.observation_space, policy.metadata, policy.env_kwargs) == (None, {}, {})
    assert vars(Policy).keys() <= {*dir(policy), *vars(Policy)}
    assert evaluate(as_teacher(Own(), Corridor), Corridor, 2).mean == 10.0


def test_a_base_teacher_wants_what_only_a_kind_can_say():
    class Partial(BaseTeacher):
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.zeros(1), state

    with pytest.raises(TypeError, match="label"):
        Partial()
