"""What is deployed acts as what was trained, with fewer numbers."""

import numpy as np
import pytest

from policy_distill.errors import RequestError
from policy_distill.exporters.parity import logit_margins
from policy_distill.student.engines.table import ENGINES
from policy_distill.student.features import Normalizer
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.slim import slim
from policy_distill.student.spaces import describe_space
from tests.doubles import cartpole_teacher
from tests.students import KINDS, make_student, name_of, sample_observations
from tests.training.test_policy import make_policy

WHOLE = [kind for kind in KINDS if "slim" not in kind]
VECTOR = ("vector", "gaussian", "mlp:16,8", "tanh")
HEAD = ("vector", "gaussian_head", "mlp:16,8", "tanh")
CHOICE = ("vector", "discrete", "mlp:16,8", "tanh")
SEVERAL = ("vector", "multi_discrete", "mlp:16,8", "tanh")


def same_actions(student, found, obs):
    expected, actions = (one.predict(obs, deterministic=True)[0] for one in (student, found))
    assert expected.shape == actions.shape and expected.dtype == actions.dtype
    if student.plan.action_map.kind == "index":
        scores = student.plan.head.scores(student.network_outputs(obs))
        tied = logit_margins(student.record, scores) <= 1e-5
        differs = (expected != actions).reshape(len(expected), -1).any(axis=1)
        return not (differs & ~tied).any() and not tied.all()
    return np.allclose(actions, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("keep_std", [False, True])
@pytest.mark.parametrize("kind", WHOLE, ids=name_of)
def test_a_slim_student_acts_as_the_whole_one_and_is_no_larger(kind, keep_std, tmp_path):
    student = make_student(kind)
    found = slim(student, keep_std)
    if "deterministic_free" not in kind:  # no file holds its bounds
        found = load_student(found.save(tmp_path / "student.safetensors"))
    obs = sample_observations(kind, 400)
    assert same_actions(student, found, obs)
    assert found.n_params <= student.n_params
    assert found.metadata["architecture"]["macs"] <= student.metadata["architecture"]["macs"]
    again = slim(found, keep_std)
    assert {**again.metadata, "sha256": ""} == {**found.metadata, "sha256": ""}, "once is enough"
    assert all(np.array_equal(again.tensors[name], array) for name, array in found.tensors.items())


def test_a_linear_student_of_two_actions_is_five_numbers():
    student = Student.of(make_policy(cartpole_teacher(), "linear").to_record({}))
    assert (student.n_params, slim(student).n_params) == (10, 5)
    assert slim(student).metadata["architecture"]["macs"] == 4


@pytest.mark.parametrize("kind", [CHOICE, SEVERAL, ("vector", "multi_binary", "mlp:16,8", "tanh")], ids=name_of)
def test_distributions_masks_and_samples_are_those_of_the_whole_student(kind):
    student = make_student(kind)
    found = slim(student)
    obs = sample_observations(kind, 50)
    whole, own = student.torch(), found.torch()
    for one in (student, found):
        assert one.distribution_params(obs).shape == (50, whole.spec.family.n_params)
    kl = whole.spec.family.kl(whole(obs), own(obs)).detach().numpy()
    assert np.abs(kl).max() < 1e-5
    masks = np.random.default_rng(0).random(student.distribution_params(obs).shape) < 0.6
    expected = student.predict(obs, deterministic=True, action_masks=masks)[0]
    assert np.array_equal(found.predict(obs, deterministic=True, action_masks=masks)[0], expected)
    drawn = [one.predict(obs)[0] for one in (student, found)]
    assert np.array_equal(*drawn), "the same draws among the same chances"


@pytest.mark.parametrize("kind", [VECTOR, HEAD], ids=name_of)
def test_without_log_std_only_deterministic_actions_are_left(kind):
    student = make_student(kind)
    obs = sample_observations(kind, 20)
    found = slim(student)
    n_actions = student.plan.head.n_modes
    assert found.n_params == student.n_params - (n_actions if kind == VECTOR else 9 * n_actions)
    assert not found.plan.samples and student.plan.samples
    for refused in (lambda: found.predict(obs), lambda: found.distribution_params(obs), found.torch):
        with pytest.raises(RequestError, match="--keep-std"):
            refused()
    kept = slim(student, keep_std=True)
    assert np.allclose(kept.distribution_params(obs), student.distribution_params(obs), atol=1e-5)
    assert np.allclose(kept.predict(obs)[0], student.predict(obs)[0], atol=1e-5)


def with_statistics(normalizer, low=-1.0, high=1.0):
    student = make_student(("matrix", "gaussian", "mlp:8", "tanh"))
    space = {"type": "Box", "shape": [2, 3], "dtype": "float64", "low": low, "high": high}
    changes = {"observation_space": space, "observation_normalization": normalizer.to_json()}
    return Student(student.tensors, {**student.metadata, **changes})


def statistics(mean=0.0, variance=1.0, clip=3.0):
    return Normalizer(np.full((2, 3), mean), np.full((2, 3), variance), clip=clip)


@pytest.mark.parametrize(
    ("made", "folded"),
    [
        ((statistics(),), True),
        ((statistics(clip=np.inf), "-inf", "inf"), True),
        ((statistics(clip=3.0), "-inf", "inf"), False),
        ((statistics(clip=0.5),), False),
        ((statistics(mean=0.9, variance=0.25, clip=3.0),), False),
        ((statistics(mean=0.9, variance=0.25, clip=4.0),), True),
        ((statistics(mean=0.9, variance=0.01, clip=50.0),), False),
    ],
)
def test_statistics_become_weights_where_nothing_can_be_clipped_and_no_digits_are_lost(made, folded):
    student = with_statistics(*made)
    found = slim(student)
    assert (found.metadata["observation_normalization"] is None) == folded
    obs = np.random.default_rng(0).uniform(-1, 1, (200, 2, 3))
    assert same_actions(student, found, obs)


def test_of_a_dict_each_key_is_folded_by_itself():
    kind = ("dict", "discrete", "mlp:8", "tanh")
    student = make_student(kind)
    assert slim(student).metadata["observation_normalization"] is None
    narrow = {"speed": {**student.metadata["observation_normalization"]["speed"], "clip": 0.1}}
    student = Student(student.tensors, {**student.metadata, "observation_normalization": narrow})
    assert slim(student).metadata["observation_normalization"] == narrow
    assert same_actions(student, slim(student), sample_observations(kind, 200))


def test_components_without_weight_are_not_looked_at():
    student = make_student(CHOICE)
    tensors = {name: array.copy() for name, array in student.tensors.items()}
    tensors["network.0.weight"][:, [0, 3]] = 0.0
    student = Student(tensors, student.metadata)
    found = slim(student)
    assert found.plan.layers[0] == {"op": "select", "columns": [1, 2, 4]}
    obs = sample_observations(CHOICE, 100)
    assert same_actions(student, found, obs)
    broken = obs.copy()
    broken[:, [0, 3]] = np.nan
    for runtime in ENGINES:
        one = Student(found.tensors, found.metadata, runtime)
        assert np.array_equal(one.predict(broken, deterministic=True)[0], found.predict(obs, deterministic=True)[0])
        assert one.act(broken[0]) == one.act(obs[0])
    tensors["network.0.weight"][:] = 0.0
    assert slim(Student(tensors, student.metadata)).plan.layers[0]["columns"] == [0]


def test_the_spaces_are_those_of_the_whole_student():
    student = make_student(CHOICE)
    found = slim(student)
    assert describe_space(found.observation_space) == student.metadata["observation_space"]
    assert describe_space(found.action_space) == student.metadata["action_space"]
