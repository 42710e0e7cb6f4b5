"""Windows of episodes: what teaches in them, and the gradients of a recurrent unit written out."""

import numpy as np
import pytest
import torch

from policy_distill.collection.along import outputs_along
from policy_distill.config import DistillConfig
from policy_distill.losses.batch import Batch
from policy_distill.losses.kl import forward_kl
from policy_distill.student.engines.gru_windows import GRUWindows
from policy_distill.student.engines.torch_memory import GRULayer, windows_through
from policy_distill.student.runtime import Student
from policy_distill.training.autograd_step import AutogradStep
from policy_distill.training.buffer import Buffer
from policy_distill.training.dense_step import DenseStep, is_written_out
from policy_distill.training.learner import GradientLearner
from policy_distill.training.schedule import n_updates
from policy_distill.training.stores import Rows
from policy_distill.training.windows import answered, batch_size_for, drawn_batches, taken_in
from tests.students import make_student


def layer(n_in, size):
    made = GRULayer(n_in, size)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        made.weight.copy_(torch.randn(made.weight.shape, generator=generator) * 0.5)
        made.bias.copy_(torch.randn(made.bias.shape, generator=generator))
    return made


@pytest.mark.parametrize(
    ("length", "n", "n_in", "size", "burn_in"), [(48, 8, 4, 16, 16), (5, 3, 2, 4, 0), (1, 2, 3, 5, 0)]
)
def test_the_gradients_that_are_written_out_are_those_of_autograd(length, n, n_in, size, burn_in):
    generator, unit = torch.Generator().manual_seed(1), layer(n_in, size)
    x, starts = torch.randn(length, n, n_in, generator=generator), torch.rand(length, n, generator=generator) < 0.1
    outer = torch.randn(length - burn_in, n, size, generator=generator)
    states = unit.windows(x, starts, burn_in)
    (states * outer).sum().backward()
    written = GRUWindows(size, length, n, n_in)
    weight, bias = unit.weight.detach().numpy(), unit.bias.detach().numpy()
    # Twice: nothing of a pass is left to the next.
    for _ in range(2):
        found = written.run(weight, bias, x.numpy().transpose(0, 2, 1), starts.numpy())[burn_in:]
        gradients = written.gradients(outer.numpy().transpose(0, 2, 1), burn_in)
    assert np.allclose(found.transpose(0, 2, 1), states.detach(), atol=1e-5)
    for one, other in zip(gradients, (unit.weight.grad, unit.bias.grad), strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_a_step_is_that_of_a_small_difference():
    unit = layer(2, 3).double()
    x, starts = torch.randn(4, 2, 2, dtype=torch.float64), torch.zeros(4, 2, dtype=torch.bool)
    starts[2, 0] = True
    assert torch.autograd.gradcheck(
        lambda weight, bias: torch.func.functional_call(
            _Windows(unit), {"unit.weight": weight, "unit.bias": bias}, (x, starts)
        ),
        (unit.weight, unit.bias),
    )


class _Windows(torch.nn.Module):
    def __init__(self, unit):
        super().__init__()
        self.unit = unit

    def forward(self, x, starts):
        return self.unit.windows(x, starts, 0)


@pytest.mark.parametrize("network", ["gru:6+mlp:4", "history:3+mlp:4", "history:3a+mlp:4"])
def test_a_window_teaches_what_the_student_would_have_said_along_the_episode(network):
    student = make_student(("unnormalized", "gaussian", network, "tanh"))
    policy, rng = student.torch(), np.random.default_rng(0)
    length = 48 if network.startswith("gru") else 3
    obs, starts = rng.normal(size=(length, 2, 5)).astype(np.float32), np.zeros((length, 2), bool)
    starts[length // 3, 1] = True
    actions = rng.uniform([-2.0, 0.0], [1.0, 5.0], (length, 2, 2)).astype(np.float32)
    outputs, _ = outputs_along(student, obs, starts, actions=actions)
    columns = {"episode_starts": torch.from_numpy(starts), "actions": torch.from_numpy(actions)}
    batch = Batch(torch.from_numpy(obs), torch.zeros(length, 2, 4), columns)
    rows, answers = answered(policy, batch)
    n_taught = len(rows.features) // 2
    assert n_taught == (32 if network.startswith("gru") else 1)
    expected = outputs[-n_taught:].reshape(-1, 2)
    assert np.allclose(answers.params[:, :2].detach().numpy(), expected, atol=1e-5)
    assert torch.equal(rows.features, batch.features[-n_taught:].flatten(0, 1))
    if network.startswith("history"):
        taken = taken_in(policy, batch)
        assert (taken is None) == (network == "history:3+mlp:4")
        slow = windows_through(policy.network, batch.features, batch.columns["episode_starts"], 2, taken)
        assert torch.allclose(slow.flatten(0, 1), answers.params[:, :2])


def test_a_loss_is_the_mean_over_the_steps_that_teach_however_many_they_are():
    policy = make_student(("unnormalized", "discrete", "gru:4", "tanh")).torch()
    features, labels = torch.randn(48, 3, 5), torch.randn(48, 3, 4)
    batch = Batch(features, labels, {"episode_starts": torch.zeros(48, 3, dtype=torch.bool)})
    loss, _ = AutogradStep(policy, forward_kl, 1.0).step(batch, 1e-3)
    assert float(loss) == pytest.approx(float(forward_kl(*answered(policy, batch)).mean().detach()))
    twice = Batch(
        *(torch.cat([one, one], dim=1) for one in (features, labels)), {"episode_starts": torch.zeros(48, 6) > 0}
    )
    assert float(AutogradStep(policy, forward_kl, 1.0).step(twice, 1e-3)[0]) == pytest.approx(float(loss), rel=1e-5)


def test_a_recurrent_unit_draws_windows_of_48_and_a_history_just_what_it_sees():
    buffer = Buffer(Rows(400, (5,)), 4, stride=2, columns={"episode_starts": ((), torch.bool)})
    buffer.add(torch.randn(400, 5), torch.randn(400, 4), {"episode_starts": torch.zeros(400, dtype=torch.bool)})
    shapes = {}
    for network in ("gru:4", "history:3+mlp:4", "mlp:4"):
        policy = make_student(("unnormalized", "discrete", network, "tanh")).torch()
        size = batch_size_for(policy.network, 64)
        (batch,) = drawn_batches(buffer, policy, 1, size, torch.Generator().manual_seed(0))
        shapes[network] = tuple(batch.features.shape), len(answered(policy, batch)[0].features)
    assert shapes == {
        "gru:4": ((48, 32, 5), 1024),
        "history:3+mlp:4": ((3, 64, 5), 64),
        "mlp:4": ((64, 5), 64),
    }


@pytest.mark.parametrize("network", ["gru:4", "history:5+mlp:4"])
def test_few_states_are_windows_as_long_as_there_are_states(network):
    policy = make_student(("unnormalized", "discrete", network, "tanh")).torch()
    for n in (1, 2, 7):
        buffer = Buffer(Rows(400, (5,)), 4, stride=1, columns={"episode_starts": ((), torch.bool)})
        buffer.add(torch.randn(n, 5), torch.randn(n, 4), {"episode_starts": torch.zeros(n, dtype=torch.bool)})
        (batch,) = drawn_batches(buffer, policy, 1, 64, torch.Generator().manual_seed(0))
        assert len(batch.features) <= n and len(answered(policy, batch)[0].features) >= 32


def test_only_students_that_remember_ask_where_episodes_begin():
    assert GradientLearner.columns("gru:4") == GradientLearner.columns("history:3+mlp:8") == ("episode_starts",)
    assert GradientLearner.columns("history:3a+mlp:8") == ("episode_starts", "actions")
    assert GradientLearner.columns("mlp:8") == GradientLearner.columns("linear") == ()


def test_larger_minibatches_are_fewer_steps_and_as_many_passes():
    config = DistillConfig(batch_size=256)
    gru = make_student(("unnormalized", "discrete", "gru:4", "tanh")).torch()
    size = batch_size_for(gru.network, config.batch_size)
    larger = DistillConfig(batch_size=size)
    assert size == 1024
    assert n_updates(config, 1024, 0.5) * 256 == n_updates(larger, 1024, 0.5) * size


def test_a_student_can_be_made_of_what_was_trained():
    policy = make_student(("vector", "discrete", "gru:4", "tanh")).torch()
    student = Student.of(policy.to_record({"env_id": "Test-v0", "env_wrappers": []}))
    assert [(part.kind, part.size) for part in student.plan.memory.parts] == [("history", 5), ("gru", 4)]


@pytest.mark.parametrize("network", ["gru:6", "gru:6+mlp:4", "history:3+mlp:4", "history:2", "history:3a+mlp:4"])
@pytest.mark.parametrize("family", ["discrete", "gaussian"])
@pytest.mark.parametrize("length", [48, 7])
def test_a_step_that_is_written_out_is_that_of_autograd(network, family, length):
    policy = make_student(("unnormalized", family, network, "tanh")).torch()
    generator = torch.Generator().manual_seed(1)
    features, labels = (torch.randn(length, 6, n, generator=generator) for n in (5, policy.spec.family.n_params))
    columns = {"episode_starts": torch.rand(length, 6, generator=generator) < 0.1}
    columns["actions"] = torch.rand(length, 6, 2, generator=generator)
    if family == "discrete":
        columns["actions"] = torch.randint(4, (length, 6), generator=generator)
    batch = Batch(features, labels, columns)
    assert is_written_out(policy)
    sides = [make(policy, forward_kl, 1.0) for make in (DenseStep, AutogradStep)]
    (loss, norm), (expected, expected_norm) = (side.step(batch, 1e-3) for side in sides)
    assert (float(loss), float(norm)) == pytest.approx((float(expected), float(expected_norm)), rel=1e-4)
    found, known = (side.gradients() for side in sides)
    assert found.keys() == known.keys()
    assert all(np.allclose(found[name], known[name], rtol=1e-3, atol=1e-6) for name in known)
    weights = []
    for side in sides:
        side.write(policy)
        weights.append(policy.tensors())
    assert all(np.allclose(one, weights[1][name], atol=1e-5) for name, one in weights[0].items())
