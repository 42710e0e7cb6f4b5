"""A tree's arrays: what they compute, which are refused, and how they act in every form."""

import copy

import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.student.file import write_sealed
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.tree import Tree, single_leaf, tree
from tests.students import make_student, sample_observations

AXIS = ("unnormalized", "discrete", "tree:16", "tanh")
OBLIQUE = ("matrix", "gaussian", "oblique_tree:8", "tanh")


def small(**changes):
    arrays = {
        "threshold": np.array([0.0, 1.0], np.float32),
        "branches": np.array([[-1, 1], [-2, -3]], np.int32),
        "feature": np.array([0, 1], np.int32),
        "leaves": np.array([[1.0], [2.0], [3.0]], np.float32),
    }
    return Tree(**{**arrays, **changes})


def answers(found, x):
    arrays = found.arrays()
    return tree({key: key for key in arrays}, arrays)(np.array(x, np.float32))


def test_a_state_goes_left_where_it_is_at_most_the_threshold_and_nan_goes_right():
    x = [[-1, 5], [0, 5], [1, 1], [1, 2], [np.nan, 0], [1, np.nan], [np.inf, -np.inf]]
    assert answers(small(), x).ravel().tolist() == [1, 1, 2, 3, 2, 3, 2]
    assert answers(single_leaf(np.array([7.0]), oblique=True), x).ravel().tolist() == [7] * 7


def test_an_oblique_split_weighs_the_terms_that_are_its_own():
    found = small(
        feature=np.array([0, 1, 1], np.int32),
        coefficient=np.array([1.0, -1.0, 2.0], np.float32),
        start=np.array([0, 2, 3], np.int32),
    )
    found.check(2)
    assert answers(found, [[1, 2], [2, 0.5], [2, 1]]).ravel().tolist() == [1, 2, 3]
    assert found.terms(0) == [(0, 1.0), (1, -1.0)] and found.depth == 2 and found.work == 3


WRONG = {
    "a way back": {"branches": np.array([[-1, 0], [-2, -3]], np.int32)},
    "a child that comes before its parent": {"branches": np.array([[1, -1], [0, -2]], np.int32)},
    "a leaf with two ways": {"branches": np.array([[-1, 1], [-1, -3]], np.int32)},
    "a leaf that is not there": {"branches": np.array([[-1, 1], [-2, -4]], np.int32)},
    "a split that is not there": {"branches": np.array([[-1, 2], [-2, -3]], np.int32)},
    "a component that is not observed": {"feature": np.array([0, 2], np.int32)},
    "a component below the first": {"feature": np.array([0, -1], np.int32)},
    "a threshold too few": {"threshold": np.zeros(1, np.float32)},
    "a leaf too few": {"leaves": np.zeros((2, 1), np.float32)},
    "leaves without a dimension": {"leaves": np.zeros(3, np.float32)},
    "features that are floats": {"feature": np.zeros(2, np.float32)},
    "thresholds of whole numbers": {"threshold": np.zeros(2, np.int32)},
    "coefficients without their places": {"coefficient": np.ones(2, np.float32)},
    "a split without a term": {"coefficient": np.ones(2, np.float32), "start": np.array([0, 2, 2], np.int32)},
    "terms beyond the last": {"coefficient": np.ones(2, np.float32), "start": np.array([0, 1, 3], np.int32)},
}


@pytest.mark.parametrize("why", WRONG)
def test_arrays_that_are_no_tree_are_refused(why):
    small().check(2)
    with pytest.raises(ValueError, match=r"a tree|a split"):
        small(**WRONG[why]).check(2)


def test_a_chain_of_a_thousand_splits_is_refused():
    n = 1000
    branches = np.array([[-1 - s, s + 1] for s in range(n - 1)] + [[-n, -n - 1]], np.int32)
    chain = Tree(np.zeros(n, np.float32), branches, np.zeros(n, np.int32), np.zeros((n + 1, 1), np.float32))
    with pytest.raises(ValueError, match="levels"):
        chain.check(1)


@pytest.mark.parametrize("kind", [AXIS, OBLIQUE], ids=["axis", "oblique"])
def test_a_file_that_lies_about_its_tree_is_refused(kind, tmp_path):
    student, path = make_student(kind), tmp_path / "student.safetensors"
    names = {key: f"network.0.{key}" for key in ("branches", "feature", "threshold")}
    lies = {
        "branches": np.zeros_like(student.tensors[names["branches"]]),
        "feature": np.full_like(student.tensors[names["feature"]], 99),
        "threshold": np.full_like(student.tensors[names["threshold"]], np.nan),
    }
    for key, array in lies.items():
        write_sealed(path, {**student.tensors, names[key]: array}, student.metadata)
        with pytest.raises(RequestError, match="not a whole student"):
            load_student(path)
    record = copy.deepcopy(student.metadata)
    record["architecture"]["layers"][0]["feature"] = names["threshold"]
    write_sealed(path, student.tensors, record)
    with pytest.raises(RequestError, match="not a whole student"):
        load_student(path)


@pytest.mark.parametrize("kind", [AXIS, OBLIQUE], ids=["axis", "oblique"])
def test_a_tree_acts_alike_from_its_file_in_torch_and_one_by_one(kind, tmp_path):
    student, obs = make_student(kind), sample_observations(kind)
    again = load_student(student.save(tmp_path / "student.safetensors"))
    expected = student.distribution_params(obs)
    assert np.array_equal(again.distribution_params(obs), expected)
    assert np.array_equal(student.torch()(obs).detach().numpy(), expected)
    actions, _ = again.predict(obs, deterministic=True)
    assert all(np.array_equal(again.act(one), action) for one, action in zip(obs, actions, strict=True))
    sampled = [Student(again.tensors, again.metadata).predict(obs)[0] for _ in range(2)]
    assert np.array_equal(*sampled)


def test_what_a_tree_hands_out_is_the_callers_to_change():
    student, obs = make_student(OBLIQUE), sample_observations(OBLIQUE)
    first = student.act(obs[0])
    first += 100
    assert not np.array_equal(student.act(obs[0]), first)


def test_act_refuses_what_is_not_one_observation():
    student = make_student(AXIS)
    for wrong in (np.zeros(4), np.zeros((1, 5)), "word", None):
        with pytest.raises(ValueError, match="expected one observation of shape"):
            student.act(wrong)


def test_indices_are_no_parameters_and_the_leaves_of_the_module_can_be_trained():
    student = make_student(AXIS)
    assert student.n_params == 15 + 16 * 4
    assert student.metadata["architecture"]["n_bytes"] == 4 * (15 + 16 * 4 + 3 * 15)
    module = student.torch()
    assert [name for name, _ in module.named_parameters()] == ["network.0.leaves"]
    module(sample_observations(AXIS)).sum().backward()
    assert torch.isfinite(next(module.parameters()).grad).all()
