import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.losses.batch import Batch
from policy_distill.losses.table import make_loss
from policy_distill.student.bits.low_bit import BITS, LIMITS
from policy_distill.student.bits.quantization import compile_quantized
from policy_distill.training.shrinking import low_bit
from policy_distill.training.shrinking.low_bit import best_steps, train_low_bit, train_plan
from tests.losses.values import value
from tests.students import make_student, sample_observations
from tests.training.shrinking.test_pruning import trained
from tests.training.test_trainer import EXAMPLES

FAMILIES = ("categorical", "diagonal_gaussian", "deterministic", "bernoulli")


def states_of(student, n=1000):
    """Return states with the labels of the student itself."""
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return Batch(x, student.params(x))


def loss_of(student, layers, states, loss):
    """Return the mean loss of what the layers compute in NumPy, as an artefact does."""
    outputs = compile_quantized(student.to_record({}).plan, layers)(states.features.numpy())
    params = torch.from_numpy(outputs.astype(np.float32))
    if student.log_std is not None:
        params = torch.cat([params, student.log_std.detach().expand_as(params)], dim=1)
    return float(value(loss, student.spec.family, states.teacher_params, params).mean())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("method", BITS)
def test_training_through_the_rounding_mends_what_it_breaks(name, method):
    family = EXAMPLES[name]
    loss = make_loss(family.default_loss)
    student = trained("mlp:16,8", "tanh", family, "vector" if "gaussian" in name else None)
    before, states = student.tensors(), states_of(student)
    rounded = train_low_bit(student, states, loss, method, steps=0)
    mended = train_low_bit(student, states, loss, method, steps=600)
    assert loss_of(student, mended, states, loss) < 0.75 * loss_of(student, rounded, states, loss)
    assert all(np.array_equal(array, before[key]) for key, array in student.tensors().items())


@pytest.mark.parametrize("method", BITS)
def test_all_but_the_first_layer_have_few_values(method):
    student = trained("mlp:16,8", "relu")
    found = train_low_bit(student, states_of(student), make_loss("forward_kl"), method, steps=20)
    assert {place: layer.bits for place, layer in found.items()} == {0: 8, 2: BITS[method], 4: BITS[method]}
    for layer in found.values():
        assert layer.weight.dtype == np.int8
        assert np.abs(layer.weight.astype(int)).max() == LIMITS[layer.bits]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_what_was_trained_is_what_the_whole_numbers_compute(activation, monkeypatch):
    student, seen = trained("mlp:16,8", activation), []
    states, forward = states_of(student, 64), low_bit._forward

    def remembered(plan, layers, x):
        seen.append((plan, layers))
        return forward(plan, layers, x)

    monkeypatch.setattr(low_bit, "_forward", remembered)
    found = train_low_bit(student, states, make_loss("forward_kl"), "int4", steps=30)
    plan, layers = seen[-1]
    with torch.no_grad():
        expected = forward(plan, layers, states.features).numpy()
    # An activation half way between two counts may be rounded to either, as tanh is that torch and NumPy compute.
    outputs = compile_quantized(plan, found)(states.features.numpy())
    assert np.quantile(np.abs(outputs - expected), 0.8) < 1e-5


def test_the_same_seed_gives_the_same_layers():
    student = trained("mlp:4")
    states, loss = states_of(student), make_loss("forward_kl")
    one, other, third = (train_low_bit(student, states, loss, "ternary", steps=50, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[place].bias, other[place].bias) for place in one)
    assert any(not np.array_equal(one[place].bias, third[place].bias) for place in one)


def test_the_best_step_is_found_where_it_can_be_told():
    # Two counts of a row's own step lose nothing; of three values the mean size of the large ones is best.
    steps = best_steps(np.array([[0.7, -0.1, 0.3, 0.0]], np.float32), 7)
    assert steps == pytest.approx([0.1], rel=1e-6)
    assert best_steps(np.array([[1.0, -0.8, 0.01, 0.0]]), 1) == pytest.approx([0.9], abs=0.01)
    assert best_steps(np.zeros((1, 3)), 1) == pytest.approx([0.0], abs=1e-9)


def test_what_cannot_be_trained_is_refused():
    student = trained("mlp:4")
    with pytest.raises(RequestError, match="int4, ternary, found 'int3'"):
        train_low_bit(student, states_of(student), make_loss("forward_kl"), "int3")
    image = make_student(("image_last", "gaussian", "cnn:4,4", "relu"))
    features = image.plan.featurizer(sample_observations(("image_last",), 8))
    with pytest.raises(RequestError, match="'conv2d' has no form for weights of few bits"):
        train_plan(image.plan, features, lambda outputs, rows: outputs.sum(), "int4")
