"""The log-probability of executed actions: it sums to one, and its gradient is that of what was drawn, on average."""

import numpy as np
import pytest
import torch

from policy_distill.families.bernoulli import Bernoulli
from policy_distill.families.categorical import Categorical
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.executed import executed_log_prob
from policy_distill.families.multi_categorical import MultiCategorical
from policy_distill.families.squashed_gaussian import SquashedGaussian
from policy_distill.student.actions import ActionMap

LOW, HIGH = np.array([-1.0, -0.5], np.float32), np.array([0.5, np.inf], np.float32)
CLIP = ActionMap("clip", (2,), "float32", LOW, HIGH)
UNSQUASH = ActionMap("unsquash", (1, 2), "float64", np.array([[-2.0, 0.0]]), np.array([[1.0, 5.0]]))
N = 200_000


def executed(family, action_map, params, n=N):
    drawn = family.sample(params.expand(n, -1), torch.Generator().manual_seed(0))
    return drawn, torch.from_numpy(action_map.execute(drawn.numpy()))


@pytest.mark.parametrize(
    ("family", "action_map"),
    [
        (Categorical(3), ActionMap("index", (), "int64", start=4)),
        (MultiCategorical((2, 3)), ActionMap("index", (2,), "int64", start=(1, 0))),
        (Bernoulli(3), ActionMap("index", (3,), "int64")),
        (DiagonalGaussian(2), ActionMap("none", (2,), "float32")),
        (SquashedGaussian(2), UNSQUASH),
    ],
)
def test_an_executed_action_has_the_probability_of_what_was_drawn(family, action_map):
    params = torch.randn(1, family.n_params, generator=torch.Generator().manual_seed(1)) * 0.5
    drawn, actions = executed(family, action_map, params, 500)
    wide = params.expand(500, -1)
    found = executed_log_prob(family, action_map, wide, actions)
    # Near a bound float32 holds tanh to a few digits alone.
    torch.testing.assert_close(found, family.log_prob(wide, drawn), rtol=5e-3, atol=5e-3)


def test_what_a_bound_cuts_off_has_the_probability_of_the_tail():
    family, params = DiagonalGaussian(2), torch.tensor([[0.2, -0.3, -0.7, -0.4]])
    _, actions = executed(family, CLIP, params)
    at_low, at_high = actions <= torch.from_numpy(LOW), actions >= torch.from_numpy(HIGH)
    inside = torch.tensor([[0.0, 0.0]])
    reference = executed_log_prob(family, CLIP, params, inside)
    for place, action, share in ((0, -1.0, at_low), (0, 0.5, at_high), (1, -0.5, at_low)):
        one = inside.clone()
        one[0, place] = action
        density = family.log_prob(params, inside)
        other = executed_log_prob(family, CLIP, params, one) - reference
        mean, log_std = params[0, place], params[0, 2 + place]
        own = -0.5 * ((0.0 - mean) / log_std.exp()) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
        assert float((other + own).exp()) == pytest.approx(float(share[:, place].float().mean()), abs=4e-3)
        assert torch.isfinite(density).all()


def test_its_gradient_is_that_of_the_density_on_average_with_less_variance():
    """E[f(a) ∇log p(a)] of any f of the executed action is the gradient of E[f(a)]."""
    family, params = DiagonalGaussian(2), torch.tensor([[0.2, -0.3, -0.7, -0.4]])
    drawn, actions = executed(family, CLIP, params)
    reward = torch.sin(3 * actions[:, 0]) + actions[:, 1] ** 2

    def gradients(log_prob, of):
        leaf = params.expand(N, -1).clone().requires_grad_()
        (found,) = torch.autograd.grad(log_prob(leaf, of).sum(), leaf)
        return found * reward[:, None]

    clipped = gradients(lambda p, a: executed_log_prob(family, CLIP, p, a), actions)
    plain = gradients(family.log_prob, drawn)
    assert torch.isfinite(clipped).all()
    error = (clipped - plain).mean(dim=0).abs() / ((clipped - plain).std(dim=0) / N**0.5)
    assert float(error.max()) < 4.0
    assert bool((clipped.var(dim=0) < plain.var(dim=0)).all())
