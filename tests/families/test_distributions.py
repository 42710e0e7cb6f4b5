import math

import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.families.bernoulli import Bernoulli
from policy_distill.families.categorical import Categorical
from policy_distill.families.deterministic import Deterministic
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.multi_categorical import MultiCategorical
from policy_distill.families.squashed_gaussian import SquashedGaussian
from policy_distill.families.table import FAMILIES, make_family
from policy_distill.losses.jensen_shannon import JensenShannon
from policy_distill.losses.table import LOSSES, choose_loss, make_loss
from policy_distill.losses.temperature import TemperatureKL
from tests.losses.values import value

EXAMPLES = {
    family.name: family
    for family in (
        Categorical(4),
        MultiCategorical((2, 3, 4)),
        Bernoulli(3),
        DiagonalGaussian(3),
        SquashedGaussian(3),
        Deterministic(3),
    )
}
SINGLE = [
    Categorical(1),
    MultiCategorical((1,)),
    Bernoulli(1),
    DiagonalGaussian(1),
    SquashedGaussian(1),
    Deterministic(1),
]
NOT_A_DIVERGENCE = {"nll", "nll_sampled"}
DENSE = sorted(set(EXAMPLES) - {"deterministic"})


def draw(family, batch=64, seed=0):
    params = torch.randn(batch, family.n_params, generator=torch.Generator().manual_seed(seed))
    return params * 0.7


@pytest.fixture(params=sorted(FAMILIES))
def family(request):
    return EXAMPLES[request.param]


@pytest.fixture(params=DENSE)
def dense(request):
    return EXAMPLES[request.param]


def serves(name, family):
    """Say whether a loss has a closed form for a family."""
    try:
        choose_loss(name, family)
    except RequestError:
        return False
    return True


PAIRS = [(name, family) for name in sorted(LOSSES) for family in EXAMPLES.values() if serves(name, family)]


DIVERGENCES = [pair for pair in PAIRS if pair[0] not in NOT_A_DIVERGENCE]


def named(pair):
    return f"{pair[0]}-{pair[1].name}"


@pytest.fixture(params=PAIRS, ids=named)
def pair(request):
    name, family = request.param
    return name, make_loss(name), family


@pytest.fixture(params=DIVERGENCES, ids=named)
def divergence(request):
    name, family = request.param
    return make_loss(name), family


def test_every_loss_serves_some_family_and_every_family_has_some_loss():
    assert {name for name, _ in PAIRS} == set(LOSSES)
    assert {family.name for _, family in PAIRS} == set(FAMILIES) == set(EXAMPLES)
    assert {name for name, family in PAIRS if family.name == "deterministic"} == {"mse", "huber", "wasserstein"}


@pytest.mark.parametrize(
    ("name", "family", "instead"),
    [
        ("forward_kl", Deterministic(2), "mse or huber"),
        ("nll", Deterministic(2), "mse or huber"),
        ("jensen_shannon", DiagonalGaussian(2), "jeffreys"),
        ("temperature_kl", SquashedGaussian(2), "forward_kl"),
        ("wasserstein", Categorical(3), "forward_kl, or mse"),
        ("wasserstein", SquashedGaussian(3), "forward_kl, or mse"),
    ],
)
def test_a_pair_without_a_closed_form_says_what_to_use(name, family, instead):
    with pytest.raises(RequestError, match=instead):
        choose_loss(name, family)


@pytest.mark.parametrize("batch", [1, 7])
def test_every_loss_is_one_number_a_sample_and_not_negative(pair, batch):
    name, loss, family = pair
    values = value(loss, family, draw(family, batch), draw(family, batch, seed=1))
    assert values.shape == (batch,)
    if name not in NOT_A_DIVERGENCE:
        assert (values > 0).all()


@pytest.mark.parametrize("family", SINGLE, ids=lambda family: family.name)
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_one_dimension_is_not_broadcast(name, family):
    if serves(name, family):
        assert value(make_loss(name), family, draw(family, 5), draw(family, 5, seed=1)).shape == (5,)


def test_every_divergence_is_zero_for_equal_distributions(pair):
    name, loss, family = pair
    # In float64: how many roundings of float32 add up is for each machine to say.
    params = draw(family).double()
    values = value(loss, family, params, params.clone())
    if name == "nll":
        assert torch.allclose(values, -family.log_prob(params, family.mode(params)))
    elif name not in NOT_A_DIVERGENCE:
        assert values.abs().max() < 1e-12


def test_every_loss_gives_gradient_to_the_student_only(pair):
    _, loss, family = pair
    teacher, student = draw(family).requires_grad_(), draw(family, seed=1).requires_grad_()
    value(loss, family, teacher, student).mean().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_following_the_gradient_brings_the_student_to_the_teacher(divergence):
    loss, family = divergence
    teacher = draw(family, 8)
    student = draw(family, 8, seed=1).requires_grad_()
    optimizer = torch.optim.Adam([student], lr=0.05)
    first = value(loss, family, teacher, student).mean().item()
    for _ in range(300):
        optimizer.zero_grad()
        value(loss, family, teacher, student).mean().backward()
        optimizer.step()
    assert value(loss, family, teacher, student).mean().item() < 0.02 * first


def test_every_loss_is_finite_at_extremes(pair):
    _, loss, family = pair
    for scale in (1e-6, 1e2, 1e4):
        student = (draw(family, seed=1) * scale).requires_grad_()
        values = value(loss, family, draw(family) * scale, student)
        values.mean().backward()
        assert torch.isfinite(values).all()
        assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("direction", ["forward_kl", "reverse_kl"])
def test_kl_agrees_with_monte_carlo(dense, direction):
    family = dense
    teacher, student = draw(family, 1), draw(family, 1, seed=1)
    p, q = (teacher, student) if direction == "forward_kl" else (student, teacher)
    many = 200_000
    actions = family.sample(p.expand(many, -1), torch.Generator().manual_seed(2))
    ratios = family.log_prob(p.expand(many, -1), actions) - family.log_prob(q.expand(many, -1), actions)
    error = ratios.std() / math.sqrt(many)
    assert value(make_loss(direction), family, teacher, student).item() == pytest.approx(
        ratios.mean().item(), abs=5 * error.item()
    )


# SB3's deterministic action of a squashed Gaussian is tanh of the mean, not the peak of the squashed density, and its
# entropy has no closed form; that of the base Gaussian is given.
UNSQUASHED = pytest.mark.parametrize(
    "family", [EXAMPLES[name] for name in DENSE if name != "squashed_gaussian"], ids=str
)


@UNSQUASHED
def test_entropy_is_the_mean_of_minus_log_prob(family):
    params = draw(family, 1).expand(200_000, -1)
    values = -family.log_prob(params, family.sample(params, torch.Generator().manual_seed(3)))
    error = 5 * values.std().item() / math.sqrt(len(values))
    assert family.entropy(params[:1]).item() == pytest.approx(values.mean().item(), abs=error)


@UNSQUASHED
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
    assert value(make_loss("forward_kl"), Categorical(2), p, q).item() == pytest.approx(forward, abs=1e-6)
    assert value(make_loss("reverse_kl"), Categorical(2), p, q).item() == pytest.approx(backward, abs=1e-6)


def test_gaussian_kl_equals_hand_computed_values():
    # μ 1, σ 1 against μ 0, σ 2: ln 2 + (1 + 1)/8 - 1/2; the other way: -ln 2 + (4 + 1)/2 - 1/2. Two dimensions add up.
    p, q = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, math.log(2.0), 0.0]])
    family = DiagonalGaussian(2)
    assert value(make_loss("forward_kl"), family, p, q).item() == pytest.approx(math.log(2) + 0.25 - 0.5, abs=1e-6)
    assert value(make_loss("reverse_kl"), family, p, q).item() == pytest.approx(-math.log(2) + 2.5 - 0.5, abs=1e-6)
    both = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, math.log(2.0), math.log(2.0)]])
    assert value(make_loss("forward_kl"), family, *both).item() == pytest.approx(
        2 * (math.log(2) + 0.25 - 0.5), abs=1e-6
    )


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


def test_parameters_of_two_shapes_are_refused(pair):
    _, loss, _ = pair
    with pytest.raises(ValueError, match=r"\[B, P\]"):
        value(loss, Categorical(1), torch.zeros(4, 1), torch.zeros(4))


def test_jensen_shannon_goes_over_into_both_kls_at_its_ends():
    family, teacher, student = Categorical(4), draw(Categorical(4)), draw(Categorical(4), seed=1)
    forward, reverse = (value(make_loss(name), family, teacher, student) for name in ("forward_kl", "reverse_kl"))
    assert torch.allclose(value(JensenShannon(0.0), family, teacher, student), forward)
    assert torch.allclose(value(JensenShannon(1.0), family, teacher, student), reverse)
    assert torch.allclose(value(JensenShannon(1e-3), family, teacher, student), forward, rtol=0.02)
    assert torch.allclose(value(JensenShannon(1 - 1e-3), family, teacher, student), reverse, rtol=0.02)


def test_jensen_shannon_of_two_coins_equals_the_hand_computed_value():
    # p = (1, 0), q = (0, 1), m = (1/2, 1/2): JSD = ln 2, divided by 1/4.
    p, q = torch.tensor([[40.0, 0.0]]), torch.tensor([[0.0, 40.0]])
    assert value(JensenShannon(0.5), Categorical(2), p, q).item() == pytest.approx(4 * math.log(2), abs=1e-5)


def test_a_temperature_softens_both_sides_and_keeps_the_size_of_the_gradient():
    family, teacher = Categorical(4), 0.1 * draw(Categorical(4))
    sizes = []
    for temperature in (1.0, 4.0, 16.0):
        student = (0.1 * draw(Categorical(4), seed=1)).requires_grad_()
        values = value(TemperatureKL(temperature), family, teacher, student)
        softened = family.kl(teacher / temperature, student / temperature)
        assert torch.allclose(values, softened * temperature**2)
        values.sum().backward()
        sizes.append(student.grad.norm().item())
    assert max(sizes) < 1.1 * min(sizes)


def test_one_softmax_over_all_heads_would_be_another_number():
    family = MultiCategorical((2, 3))
    teacher, student = draw(family), draw(family, seed=1)
    by_hand = sum(
        torch.distributions.kl_divergence(
            *(torch.distributions.Categorical(logits=x[:, part]) for x in (teacher, student))
        )
        for part in (slice(0, 2), slice(2, 5))
    )
    assert torch.allclose(family.kl(teacher, student), by_hand, atol=1e-6)
    assert not torch.allclose(Categorical(5).kl(teacher, student), by_hand, atol=1e-3)


def test_bits_are_summed_and_not_averaged():
    p, q = draw(Bernoulli(3)), draw(Bernoulli(3), seed=1)
    each = torch.distributions.kl_divergence(
        torch.distributions.Bernoulli(logits=p), torch.distributions.Bernoulli(logits=q)
    )
    assert torch.allclose(Bernoulli(3).kl(p, q), each.sum(dim=1), atol=1e-6)


def test_wasserstein_is_of_deviations_and_not_of_their_roots():
    # μ 0 and 3, σ 1 and 3: 9 + 4; with roots of σ it would be 9 + (1 - √3)².
    p, q = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, math.log(3.0)]])
    assert value(make_loss("wasserstein"), DiagonalGaussian(1), p, q).item() == pytest.approx(13.0, abs=1e-4)


def test_squashing_does_not_change_the_kl():
    params = draw(SquashedGaussian(2)), draw(SquashedGaussian(2), seed=1)
    assert torch.equal(SquashedGaussian(2).kl(*params), DiagonalGaussian(2).kl(*params))


def test_the_density_of_a_squashed_gaussian_integrates_to_one():
    actions = torch.linspace(-1 + 1e-5, 1 - 1e-5, 200_001).unsqueeze(1)
    density = SquashedGaussian(1).log_prob(torch.tensor([[0.4, -0.5]]).expand(len(actions), -1), actions).exp()
    assert torch.trapezoid(density, actions[:, 0]).item() == pytest.approx(1.0, abs=1e-3)


def test_sampled_likelihood_is_kl_plus_the_teachers_entropy_in_the_mean():
    family = Categorical(4)
    teacher, student = draw(family, 1).expand(100_000, -1), draw(family, 1, seed=1).expand(100_000, -1)
    expected = (family.kl(teacher[:1], student[:1]) + family.entropy(teacher[:1])).item()
    assert value(make_loss("nll_sampled"), family, teacher, student).mean().item() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    "name", ["jensen_shannon:2", "temperature_kl:0", "temperature_kl:x", "mse:3", "kl", "forward_kl:1"]
)
def test_a_loss_that_does_not_exist_or_a_number_out_of_range_is_refused(name):
    with pytest.raises(RequestError):
        make_loss(name)
