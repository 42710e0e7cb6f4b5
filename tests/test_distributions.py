import math

import pytest
import torch

from policy_distill.distributions.categorical import Categorical
from policy_distill.distributions.diagonal_gaussian import DiagonalGaussian
from policy_distill.distributions.table import FAMILIES, make_family
from policy_distill.losses.table import LOSSES

EXAMPLES = {"categorical": Categorical(4), "diagonal_gaussian": DiagonalGaussian(3)}


def draw(family, batch=64, seed=0):
    params = torch.randn(batch, family.n_params, generator=torch.Generator().manual_seed(seed))
    return params * 0.7


@pytest.fixture(params=sorted(FAMILIES))
def family(request):
    return EXAMPLES[request.param]


@pytest.fixture(params=sorted(LOSSES))
def loss(request):
    return LOSSES[request.param]


@pytest.mark.parametrize("batch", [1, 7])
def test_every_loss_is_one_number_a_sample_and_not_negative(family, loss, batch):
    values = loss(family, draw(family, batch), draw(family, batch, seed=1))
    assert values.shape == (batch,)
    assert (values > 0).all()


def test_every_loss_is_zero_for_equal_distributions(family, loss):
    params = draw(family)
    assert loss(family, params, params.clone()).abs().max() < 1e-6


def test_every_loss_gives_gradient_to_the_student_only(family, loss):
    teacher, student = draw(family).requires_grad_(), draw(family, seed=1).requires_grad_()
    loss(family, teacher, student).mean().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_every_loss_is_finite_at_extremes(family, loss):
    for scale in (1e-6, 1e2, 1e4):
        student = (draw(family, seed=1) * scale).requires_grad_()
        values = loss(family, draw(family) * scale, student)
        values.mean().backward()
        assert torch.isfinite(values).all()
        assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("direction", ["forward_kl", "reverse_kl"])
def test_kl_agrees_with_monte_carlo(family, direction):
    teacher, student = draw(family, 1), draw(family, 1, seed=1)
    p, q = (teacher, student) if direction == "forward_kl" else (student, teacher)
    many = 200_000
    actions = family.sample(p.expand(many, -1), torch.Generator().manual_seed(2))
    ratios = family.log_prob(p.expand(many, -1), actions) - family.log_prob(q.expand(many, -1), actions)
    error = ratios.std() / math.sqrt(many)
    assert LOSSES[direction](family, teacher, student).item() == pytest.approx(
        ratios.mean().item(), abs=5 * error.item()
    )


def test_entropy_is_the_mean_of_minus_log_prob(family):
    params = draw(family, 1).expand(200_000, -1)
    values = -family.log_prob(params, family.sample(params, torch.Generator().manual_seed(3)))
    error = 5 * values.std().item() / math.sqrt(len(values))
    assert family.entropy(params[:1]).item() == pytest.approx(values.mean().item(), abs=error)


def test_the_mode_has_the_highest_log_prob(family):
    params = draw(family)
    best = family.log_prob(params, family.mode(params))
    for seed in range(20):
        other = family.sample(params, torch.Generator().manual_seed(seed))
        assert (family.log_prob(params, other) <= best + 1e-6).all()


def test_a_family_is_rebuilt_from_its_config(family):
    assert make_family(family.name, family.config()) == family


def test_categorical_kl_equals_hand_computed_values():
    # p = (3/4, 1/4), q = (1/2, 1/2): KL(p‖q) = 3/4 ln(3/2) + 1/4 ln(1/2), KL(q‖p) = 1/2 ln(2/3) + 1/2 ln 2.
    p, q = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[5.0, 5.0]])
    forward = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    backward = 0.5 * math.log(2 / 3) + 0.5 * math.log(2.0)
    assert LOSSES["forward_kl"](Categorical(2), p, q).item() == pytest.approx(forward, abs=1e-6)
    assert LOSSES["reverse_kl"](Categorical(2), p, q).item() == pytest.approx(backward, abs=1e-6)


def test_gaussian_kl_equals_hand_computed_values():
    # μ 1, σ 1 against μ 0, σ 2: ln 2 + (1 + 1)/8 - 1/2; the other way: -ln 2 + (4 + 1)/2 - 1/2. Two dimensions add up.
    p, q = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, math.log(2.0), 0.0]])
    family = DiagonalGaussian(2)
    assert LOSSES["forward_kl"](family, p, q).item() == pytest.approx(math.log(2) + 0.25 - 0.5, abs=1e-6)
    assert LOSSES["reverse_kl"](family, p, q).item() == pytest.approx(-math.log(2) + 2.5 - 0.5, abs=1e-6)
    both = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, math.log(2.0), math.log(2.0)]])
    assert LOSSES["forward_kl"](family, *both).item() == pytest.approx(2 * (math.log(2) + 0.25 - 0.5), abs=1e-6)


@pytest.mark.parametrize("masked", [-math.inf, -1e8])
def test_masked_actions_add_nothing_and_a_mask_on_one_side_is_large_and_finite(masked):
    free, closed = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[1.0, 2.0, masked]])
    family = Categorical(3)
    assert family.kl(closed, closed).item() == pytest.approx(0.0, abs=1e-6)
    two = Categorical(2).kl(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.3]]))
    assert family.kl(closed, torch.tensor([[0.0, 0.3, masked]])).item() == pytest.approx(two.item(), abs=1e-6)
    assert 1e3 < family.kl(free, closed).item() < math.inf
    assert 0.0 < family.kl(closed, free).item() < 10.0


def test_a_vanishing_sigma_of_the_teacher_does_not_blow_up_the_kl():
    teacher = torch.tensor([[0.5, math.log(1e-6)]])
    assert DiagonalGaussian(1).kl(teacher, torch.tensor([[0.5, -1.0]])).item() < 10.0


def test_parameters_of_two_shapes_are_refused(loss):
    with pytest.raises(ValueError, match=r"\[B, P\]"):
        loss(Categorical(1), torch.zeros(4, 1), torch.zeros(4))
