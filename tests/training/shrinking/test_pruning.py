import numpy as np
import pytest
import torch

from policy_distill.families.categorical import Categorical
from policy_distill.families.deterministic import Deterministic
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.losses.batch import Batch
from policy_distill.losses.table import make_loss
from policy_distill.training.dense_step import DenseStep
from policy_distill.training.shrinking.pruning import prune, unit_importance, unit_sensitivity
from tests.losses.values import value
from tests.training.test_trainer import make_student


def trained(network="mlp:6", activation="tanh", family=None, log_std=None):
    """Return a student whose weights are as large as those of a trained one."""
    student = make_student(family or Categorical(4), network, activation, log_std)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise))
    return student


def features(n=300):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(7))


def outputs(student, x):
    with torch.no_grad():
        return student.params(x).numpy()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("network", ["mlp:6", "mlp:6,5"])
def test_units_that_never_change_are_taken_out_without_a_trace(network, activation):
    student, x = trained(network, activation), features()
    constant = {0: [1, 4]} if network == "mlp:6" else {0: [1, 4], 2: [0]}
    with torch.no_grad():
        for place, units in constant.items():
            student.network[place].weight[units] = 0.0
            student.network[place].bias[units] = torch.linspace(0.3, 1.0, len(units))
    scores, widths = unit_importance(student, x), [4] if network == "mlp:6" else [4, 4]
    for score, units in zip(scores, constant.values(), strict=True):
        assert set(np.argsort(score)[: len(units)]) == set(units)
    pruned = prune(student, x, scores, widths)
    assert pruned.spec.network == f"mlp:{','.join(map(str, widths))}"
    assert outputs(pruned, x) == pytest.approx(outputs(student, x), abs=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_what_a_unit_adds_on_average_stays(activation):
    student, x = trained("mlp:6", activation), features()
    pruned = prune(student, x, unit_importance(student, x), [3])
    assert outputs(pruned, x).mean(axis=0) == pytest.approx(outputs(student, x).mean(axis=0), abs=1e-5)
    assert outputs(pruned, x) != pytest.approx(outputs(student, x), abs=0.1)


def test_all_else_is_taken_over():
    student = trained("mlp:5", family=DiagonalGaussian(2), log_std="vector")
    before = student.tensors()
    scores = [np.array([1.0, 5.0, 2.0, 4.0, 3.0])]
    tensors = prune(student, features(), scores, [3]).tensors()
    assert np.array_equal(tensors["network.0.weight"], before["network.0.weight"][[1, 3, 4]])
    assert np.array_equal(tensors["network.0.bias"], before["network.0.bias"][[1, 3, 4]])
    assert np.array_equal(tensors["network.2.weight"], before["network.2.weight"][:, [1, 3, 4]])
    assert np.array_equal(tensors["log_std"], before["log_std"])
    assert all(np.array_equal(array, before[name]) for name, array in student.tensors().items())


def test_a_student_that_keeps_all_units_is_the_same():
    for network, widths in (("mlp:4,3", [4, 3]), ("linear", [])):
        student, x = trained(network), features()
        same = prune(student, x, unit_importance(student, x), widths)
        assert same.spec == student.spec
        assert all(np.array_equal(array, student.tensors()[name]) for name, array in same.tensors().items())


def two_units():
    """Return a student of two ReLU units that pass their inputs on, times 2 and -3."""
    student = make_student(Deterministic(1), "mlp:2", "relu")
    with torch.no_grad():
        student.network[0].weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
        student.network[0].bias.zero_()
        student.network[2].weight.copy_(torch.tensor([[2.0, -3.0]]))
        student.network[2].bias.zero_()
    return student, torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0], [5.0, 0.0, 0.0]])


def test_importance_and_sensitivity_are_those_computed_by_hand():
    student, x = two_units()
    # Units: 1, 3, 5 about 3; 2, 4, 0 about 2.
    (importance,) = unit_importance(student, x)
    assert importance == pytest.approx([4 / 3 * 2, 4 / 3 * 3])
    # Outputs are -4, -6, 10 and labels 0, so the loss is y² and its slope 2 y times 2 and -3.
    (sensitivity,) = unit_sensitivity(student, Batch(x, torch.zeros(3, 1)), make_loss("mse"))
    assert sensitivity == pytest.approx([(2 * 16 + 0 + 2 * 40) / 3, (0 + 2 * 36 + 2 * 60) / 3])
    # Without the second unit its mean is left: 2 - 6, 6 - 6, 10 - 6.
    assert outputs(prune(student, x, [importance[::-1]], [1]), x)[:, 0] == pytest.approx([-4.0, 0.0, 4.0])


def test_sensitivity_foretells_what_a_small_change_of_a_unit_does_to_the_loss():
    student, x, loss = trained("mlp:4", family=Categorical(4)), features(), make_loss("forward_kl")
    labels = torch.randn(len(x), 4, generator=torch.Generator().manual_seed(2))
    (found,) = unit_sensitivity(student, Batch(x, labels), loss)
    with torch.no_grad():
        units = torch.tanh(student.network[0](x)).double()
        head = student.network[2].double()
        for number in range(4):
            changed = units.clone()
            changed[:, number] += 1e-5 * (changed[:, number].mean() - changed[:, number])
            losses = [value(loss, student.spec.family, labels.double(), head(values)) for values in (units, changed)]
            assert float((losses[1] - losses[0]).abs().mean()) / 1e-5 == pytest.approx(found[number], rel=1e-3)


def test_a_pruned_student_learns_on():
    family, loss = Categorical(4), make_loss("forward_kl")
    teacher, x = trained("mlp:8"), features()
    states = Batch(x, torch.from_numpy(outputs(teacher, x)))
    pruned = prune(teacher, x, unit_sensitivity(teacher, states, loss), [4])
    stepper = DenseStep(pruned, loss, 1.0)
    losses = [stepper.step(states, 0.01)[0] for _ in range(200)]
    stepper.write(pruned)
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        assert float(value(loss, family, states.teacher_params, pruned.params(x)).mean()) < losses[0]


@pytest.mark.parametrize("widths", [[0], [7], [3, 3], []])
def test_widths_that_are_no_part_of_the_student_are_refused(widths):
    student, x = trained("mlp:6"), features()
    with pytest.raises(ValueError, match="a width from 1 to each of \\[6\\]"):
        prune(student, x, unit_importance(student, x), widths)


def test_a_student_of_images_is_refused():
    student = trained()
    student.network.insert(0, torch.nn.Flatten())
    with pytest.raises(ValueError, match="linear layers"):
        unit_importance(student, features())
