import numpy as np
import pytest
import torch

from policy_distill.system.nested import (
    arrays_of,
    equal,
    first_of,
    map_arrays,
    merged,
    put,
    room_for,
    stack,
    take,
    with_axis,
)

VALUES = {
    "an array": np.arange(12.0).reshape(2, 3, 2),
    "a dict": {"near": np.arange(6).reshape(2, 3), "far": {"high": np.ones((2, 3, 4), np.float32)}},
    "nothing": None,
}


@pytest.fixture(params=VALUES)
def value(request):
    return VALUES[request.param]


def test_every_array_is_reached_and_the_structure_stays():
    doubled = map_arrays(lambda array: array * 2, VALUES["a dict"])
    assert doubled["near"].tolist() == [[0, 2, 4], [6, 8, 10]]
    assert doubled["far"]["high"].sum() == 48
    assert [name for name, _ in arrays_of(VALUES["a dict"])] == ["near", "far.high"]
    assert first_of(VALUES["a dict"]).shape == (2, 3)
    assert list(arrays_of(None)) == []


def test_entries_that_are_taken_and_stacked_again_are_the_same(value):
    assert equal(stack([take(value, 0), take(value, 1)]), value)
    assert equal(take(with_axis(value), 0), value)


def test_entries_are_written_where_they_belong(value):
    room = room_for(take(value, 0), 2)
    for step in (1, 0):
        put(room, step, take(value, step))
    assert equal(room, value)


def test_the_first_two_dimensions_become_one():
    assert merged(VALUES["a dict"])["far"]["high"].shape == (6, 4)
    assert merged(torch.ones(2, 3, 5)).shape == (6, 5)
    assert merged(None) is None


@pytest.mark.parametrize(
    "other",
    [
        {"near": np.zeros(2)},
        {"near": np.zeros(2), "far": np.ones(2)},
        {"near": np.zeros(2, np.float32), "far": np.zeros(2)},
        {"near": np.zeros((2, 1)), "far": np.zeros(2)},
        {"near": None, "far": np.zeros(2)},
        np.zeros(2),
        None,
    ],
)
def test_what_differs_in_a_bit_a_dtype_a_shape_or_a_key_is_not_equal(other):
    one = {"near": np.zeros(2), "far": np.zeros(2)}
    assert equal(one, {"far": np.zeros(2), "near": np.zeros(2)})
    assert not equal(one, other)
    assert not equal(other, one)
    assert equal(other, other)


def test_zeros_of_two_signs_differ_and_a_nan_equals_itself():
    assert not equal(np.array([0.0]), np.array([-0.0]))
    assert equal(np.array([np.nan]), np.array([np.nan]))
