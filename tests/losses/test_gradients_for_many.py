import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.families.categorical import Categorical
from policy_distill.losses.gradients import gradient_of
from policy_distill.losses.gradients_for_many import gradient_for_many
from policy_distill.losses.table import LOSSES, choose_loss, make_loss
from tests.losses.values import batch_of
from tests.training.test_trainer import EXAMPLES


def labelled(teacher):
    return batch_of(torch.from_numpy(teacher.T.copy()))


def draw(rng, scale, *shape):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("scale", [0.1, 2.0, 30.0])
@pytest.mark.parametrize("name", [None, *LOSSES])
@pytest.mark.parametrize("family", EXAMPLES.values(), ids=EXAMPLES)
def test_each_of_many_students_has_the_loss_and_gradient_that_it_has_alone(family, name, scale):
    if name == "nll_sampled":
        return  # what is drawn depends on how many draw
    try:
        loss = choose_loss(name or family.default_loss, family)
    except RequestError:
        return  # no closed form of the loss itself; said by its own tests
    rng = np.random.default_rng(0)
    teacher, students = draw(rng, scale, family.n_params, 50), draw(rng, scale, family.n_params, 3, 50)
    values, slopes = gradient_for_many(loss, family)(labelled(teacher), students)
    assert values.shape == (3, 50)
    alone = gradient_of(loss, family)
    for number in range(3):
        expected, slope = alone(labelled(teacher), students[:, number].copy())
        # Both are differences of numbers as large as the logits.
        assert values[number] == pytest.approx(expected, rel=1e-5, abs=1e-5 * max(scale, 1))
        assert slopes[:, number] == pytest.approx(slope, rel=1e-5, abs=1e-6 * max(scale, 1))


@pytest.mark.parametrize("name", ["categorical", "multi_categorical", "bernoulli", "deterministic"])
def test_equal_policies_have_no_loss_and_no_gradient(name):
    family = EXAMPLES[name]
    teacher = draw(np.random.default_rng(0), 3.0, family.n_params, 20)
    values, slopes = gradient_for_many(make_loss(family.default_loss), family)(
        labelled(teacher), np.stack([teacher] * 2, axis=1)
    )
    assert values == pytest.approx(0, abs=2e-6)
    assert slopes == pytest.approx(0, abs=1e-6)


def test_an_action_that_the_teacher_never_takes_adds_nothing():
    gradient = gradient_for_many(make_loss("forward_kl"), Categorical(3))
    for ruled_out in (-np.inf, np.float32(-1e8)):
        teacher = np.array([[1.0], [ruled_out], [0.0]], np.float32)
        students = np.array([[[0.5], [0.1]], [[-3.0], [9.0]], [[0.2], [0.0]]], np.float32)
        with np.errstate(invalid="raise"):
            values, slopes = gradient(labelled(teacher), students)
        q = np.exp(students[:, :, 0]) / np.exp(students[:, :, 0]).sum(axis=0)
        p = np.exp([1.0, -np.inf, 0.0]) / (np.e + 1)
        assert values[:, 0] == pytest.approx(
            (p[[0, 2], None] * np.log(p[[0, 2], None] / q[[0, 2]])).sum(axis=0), rel=1e-5
        )
        assert slopes[:, :, 0] == pytest.approx(q - p[:, None], abs=1e-6)


def test_a_bit_far_from_the_middle_has_a_finite_loss():
    teacher, students = np.array([[50.0, -90.0]], np.float32), np.array([[[-100.0, 200.0]]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        values, slopes = gradient_for_many(make_loss("forward_kl"), EXAMPLES["bernoulli"])(labelled(teacher), students)
    assert values == pytest.approx(np.array([[100.0, 200.0]]))
    assert slopes[0] == pytest.approx(np.array([[-1.0, 1.0]]))


class Own(Categorical):
    """A family of somebody else's, which says its own form for many students."""

    name = "own"

    def kl_gradient_for_many(self):
        return lambda teacher, students: (np.full(students.shape[1:], 7.0), np.zeros_like(students))


def test_a_familys_own_form_for_many_is_used_for_forward_kl_alone():
    rng = np.random.default_rng(0)
    teacher, students = draw(rng, 1.0, 3, 20), draw(rng, 1.0, 3, 2, 20)
    assert (gradient_for_many(make_loss("forward_kl"), Own(3))(labelled(teacher), students)[0] == 7.0).all()
    for name in ("reverse_kl", "mse"):
        found, expected = (
            gradient_for_many(make_loss(name), family)(labelled(teacher), students)
            for family in (Own(3), Categorical(3))
        )
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
