"""L2 and frozen layers, in both ways to step."""

import numpy as np
import pytest
import torch

from policy_distill import distill
from policy_distill.compression.compress import compress
from policy_distill.errors import RequestError
from policy_distill.losses.batch import Batch
from policy_distill.losses.table import make_loss
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.training.autograd_step import AutogradStep
from policy_distill.training.dense_step import DenseStep
from policy_distill.training.frozen import freeze_layers
from policy_distill.training.policy import StudentPolicy
from tests.doubles import cartpole_teacher
from tests.run.finetuning.doubles import Aim, student_of

QUICK = {"timesteps": 256, "n_envs": 4, "n_steps": 16, "eval_episodes": 0, "select_episodes": 0}


def stepped(kind, *, weight_decay=0.0, freeze=(), n=20):
    """Return a Gaussian student before and after some steps towards a teacher."""
    policy = StudentPolicy.from_record(student_of(Aim(), "mlp:8,8").record)
    freeze_layers(policy, freeze)
    before = policy.tensors()
    stepper = kind(policy, make_loss("forward_kl"), 1.0, weight_decay=weight_decay)
    generator = torch.Generator().manual_seed(0)
    for _ in range(n):
        features = torch.rand(32, 2, generator=generator)
        params = torch.cat([features[:, :1], torch.full((32, 1), -1.0)], dim=1)
        stepper.step(Batch(features, params, {}), 0.01)
    stepper.write(policy)
    return before, policy.tensors(), stepper


def test_both_ways_to_step_agree_under_l2():
    (_, dense, _), (_, autograd, _) = (stepped(kind, weight_decay=0.1) for kind in (DenseStep, AutogradStep))
    for name, array in dense.items():
        np.testing.assert_allclose(array, autograd[name], atol=1e-4)


@pytest.mark.parametrize("kind", [DenseStep, AutogradStep])
def test_l2_makes_weights_smaller_and_leaves_log_std_alone(kind):
    def size(tensors):
        return sum(float(np.square(array).sum()) for name, array in tensors.items() if name != "log_std")

    (_, free, _), (_, held, _) = stepped(kind, n=200), stepped(kind, weight_decay=1.0, n=200)
    assert size(held) < 0.5 * size(free)
    # The gradient of its divergence is what moves it; L2 would draw it to 0.
    assert held["log_std"][0] < -0.5


@pytest.mark.parametrize("kind", [DenseStep, AutogradStep])
def test_frozen_layers_stay_bit_for_bit_under_l2_too_and_a_restored_stepper_keeps_them(kind):
    before, after, stepper = stepped(kind, weight_decay=0.1, freeze=("2", "log_std"))
    assert [np.array_equal(before[name], after[name]) for name in before] == [
        name == "log_std" or name.startswith("network.2.") for name in before
    ]
    stepper.restore(stepper.state())


def test_l2_reaches_a_run_and_is_refused_where_nobody_would_heed_it():
    plain, held = (
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", **QUICK, weight_decay=decay) for decay in (0.0, 1.0)
    )
    assert (
        np.abs(held.student.tensors["network.0.weight"]).sum() < np.abs(plain.student.tensors["network.0.weight"]).sum()
    )
    with pytest.raises(RequestError, match="student that learns by gradients for --weight-decay"):
        distill(cartpole_teacher(), "CartPole-v1", "tree:4", **QUICK, weight_decay=0.1)
    with pytest.raises(RequestError, match="found --weight-decay"):
        compress(cartpole_teacher(), "CartPole-v1", weight_decay=0.1)
    with pytest.raises(RequestError, match="weight_decay"):
        FinetuneConfig(weight_decay=0.1)
