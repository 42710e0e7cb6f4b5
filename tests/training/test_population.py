import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.losses.table import LOSSES, choose_loss, default_loss, make_loss
from policy_distill.training.adam import VECTORS
from policy_distill.training.dense_step import DenseStep
from policy_distill.training.population_step import PopulationStep
from tests.training.test_trainer import EXAMPLES, make_student, params

# Every kind of group: alone and with others, tanh and ReLU, no hidden layer, one and two of them.
NETWORKS = [
    *[("mlp:2", "relu"), ("linear", "tanh"), ("mlp:1", "tanh"), ("mlp:3,2", "relu"), ("mlp:2", "tanh")],
    *[("mlp:2", "relu"), ("mlp:4,1", "tanh"), ("linear", "relu"), ("mlp:9", "tanh"), ("mlp:3,2", "relu")],
]
# Two sums of float32 in another order differ by some 1e-7 of their size; Adam divides by the gradient's own size, so that
# near a gradient of 0 a step of `rate` may turn round, for a step or two. Wrong members, axes or signs differ by 1e-2.
TOLERANCE = 1e-3


def make_students(family, log_std=None, networks=NETWORKS):
    """Return students that all start elsewhere."""
    students = [make_student(family, *network, log_std) for network in networks]
    for seed, student in enumerate(students):
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise))
    return students


def log_std_of(family):
    return "vector" if "gaussian" in family.name else None


def batch(family, update, n=64):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(update)), params(family, n, seed=update)


def assert_same_students(population, alone, students):
    for number, (one, student) in enumerate(zip(alone, students, strict=True)):
        one.write(student)
        expected = student.tensors()
        population.write(number, student)
        for name, array in student.tensors().items():
            assert array == pytest.approx(expected[name], abs=TOLERANCE), (number, name)


@pytest.mark.parametrize("loss_name", [None, *LOSSES])
@pytest.mark.parametrize("family", EXAMPLES.values(), ids=EXAMPLES)
def test_each_member_goes_where_a_step_of_its_own_goes(family, loss_name):
    try:
        loss = choose_loss(loss_name or default_loss(family), family)
    except RequestError:
        return  # no closed form of the loss itself; said by its own tests
    if loss_name == "nll_sampled":
        return  # what is drawn depends on how many draw
    students = make_students(family, log_std_of(family))
    population = PopulationStep(students, loss, 0.5)
    alone = [DenseStep(student, loss, 0.5) for student in students]
    for update in range(20):
        features, labels = batch(family, update)
        losses, norms = population.step(features, labels, 0.01)
        expected = np.array([one.step(features, labels, 0.01) for one in alone])
        assert np.stack([losses, norms], axis=1) == pytest.approx(expected, rel=TOLERANCE, abs=1e-5)
    assert_same_students(population, alone, students)
