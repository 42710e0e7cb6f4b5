"""Which arrays tasks share, and that a step of all tasks is the sum of each one's own."""

import numpy as np
import pytest
import torch

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.families.categorical import Categorical
from policy_distill.losses.kl import forward_kl
from policy_distill.training.dense_step import DenseStep
from policy_distill.training.tasks.balance import FLOOR, MEMORY, Balance
from policy_distill.training.tasks.sharing import BodySpec, share
from policy_distill.training.tasks.trainer import SharedTrainer
from tests.training.tasks.students import Drawn, policies_of, shapes_of

NARROW, WIDE = 3, 5


@pytest.mark.parametrize(
    ("network", "n_shared", "single"),
    [("mlp:64,64", 2, "mlp:64,64"), ("shared:8,8", 2, "mlp:8,8"), ("shared:8,9+mlp:4,5", 2, "mlp:8,9,4,5")],
)
def test_a_network_says_how_much_of_it_is_shared(network, n_shared, single):
    assert BodySpec.of(network) == BodySpec(n_shared, single)


@pytest.mark.parametrize("network", ["linear", "cnn:4", "mlp", "mlp:8+mlp:4", "shared:8+8", "shared:", "tree:8"])
def test_a_network_without_a_body_to_share_is_refused(network):
    with pytest.raises(RequestError, match="expected a student of several tasks such as mlp:64,64"):
        BodySpec.of(network)


def test_first_layers_go_by_space_later_ones_are_common_heads_are_each_tasks_own():
    shapes = shapes_of({"a": (NARROW, 2), "b": (WIDE, 4), "c": (NARROW, 2)}, (6, 7))
    sharing = share(shapes, [0, 1, 0], 2)
    first = {task: places["network.0.weight"] for task, places in sharing.places.items()}
    assert first["a"] == first["c"] != first["b"]
    assert {places["network.2.weight"] for places in sharing.places.values()} == {("body.network.2.weight", None)}
    assert len({places["network.0.bias"] for places in sharing.places.values()}) == 3
    assert len({places["network.4.weight"] for places in sharing.places.values()}) == 3
    assert sharing.size == 6 * (NARROW + WIDE) + 3 * 6 + 7 * 6 + 7 + (7 + 1) * (2 + 4 + 2)
    assert sharing.n_common == 6 * NARROW + 7 * 6 + 7


def test_padded_inputs_take_the_first_columns_of_one_layer():
    shapes = shapes_of({"a": (NARROW, 2), "b": (WIDE, 2)}, (6,))
    sharing = share(shapes, [0, 1], 1, padded=True)
    flat = np.arange(sharing.size)
    a, b = (sharing.of_task(task, flat)["network.0.weight"] for task in "ab")
    assert a.shape == (6, NARROW) and b.shape == (6, WIDE)
    assert (b[:, :NARROW] == a).all()


def test_blind_tasks_have_one_network():
    sharing = share(shapes_of({"a": (NARROW, 2), "b": (NARROW, 2)}, (6,)), [0, 0], 1, blind=True)
    assert sharing.places["a"] == sharing.places["b"]
    assert sharing.n_common == sharing.size


@pytest.mark.parametrize(("padded", "blind"), [(False, False), (True, False), (False, True)])
def test_a_step_follows_the_sum_of_the_weighted_gradients_of_each_task(padded, blind):
    sizes = {"a": (WIDE, 3), "b": (WIDE if blind else NARROW, 3)}
    policies = policies_of(sizes, (6, 7))
    sharing = share(shapes_of(sizes, (6, 7)), [0, 0 if blind else 1], 2, padded=padded, blind=blind)
    config = DistillConfig(batch_size=8, max_grad_norm=1e9, learning_rate=0.01)
    trainer = SharedTrainer(policies, [forward_kl] * 2, sharing, config, Balance("none", 2))
    start = trainer.adam.weights.copy()
    buffers = [Drawn(policy.featurizer.shape[0], 3, seed) for seed, policy in enumerate(policies.values())]
    batches = [next(iter(one.minibatches(1, 4, torch.Generator().manual_seed(i)))) for i, one in enumerate(buffers)]
    expected = np.zeros(sharing.size, np.float64)
    for (task, policy), batch in zip(policies.items(), batches, strict=True):
        step = DenseStep(policy, forward_kl, 1e9)
        _, flat = step.gradient(batch)
        places = sharing.of_task(task, np.arange(sharing.size))
        for name, gradient in step.named(flat).items():
            np.add.at(expected, places[name].ravel(), gradient.ravel() / 2)
    trainer.fit(buffers, 1, (0.0, 0.0), seed=0)
    assert np.allclose(trainer._gradient, expected, atol=1e-6)
    assert not np.array_equal(trainer.adam.weights, start)


def test_shared_arrays_stay_equal_in_all_students():
    sizes = {"a": (WIDE, 3), "b": (NARROW, 2)}
    policies = policies_of(sizes, (6, 7))
    sharing = share(shapes_of(sizes, (6, 7)), [0, 1], 2)
    trainer = SharedTrainer(policies, [forward_kl] * 2, sharing, DistillConfig(batch_size=8), Balance("divergence", 2))
    trainer.fit([Drawn(WIDE, 3, 0), Drawn(NARROW, 2, 1)], 5, (0.0, 0.1), seed=0)
    a, b = (policy.tensors() for policy in policies.values())
    assert np.array_equal(a["network.2.weight"], b["network.2.weight"])
    assert not np.array_equal(a["network.0.bias"], b["network.0.bias"])
    assert np.array_equal(trainer.stored()["body.network.2.weight"], a["network.2.weight"])


def test_a_trainer_goes_on_from_its_state():
    def made():
        sizes = {"a": (WIDE, 3), "b": (NARROW, 2)}
        sharing = share(shapes_of(sizes, (6, 7)), [0, 1], 2)
        config = DistillConfig(batch_size=8)
        return SharedTrainer(policies_of(sizes, (6, 7)), [forward_kl] * 2, sharing, config, Balance("divergence", 2))

    buffers = [Drawn(WIDE, 3, 0), Drawn(NARROW, 2, 1)]
    one, other = made(), made()
    one.fit(buffers, 4, (0.0, 0.1), seed=0)
    other.restore({name: array.copy() for name, array in one.state().items()})
    for trainer in (one, other):
        trainer.fit(buffers, 4, (0.1, 0.2), seed=1)
    assert np.array_equal(one.weights(), other.weights())
    with pytest.raises(ValueError, match="of another student"):
        other.restore({**one.state(), "adam.weights": np.zeros(3, np.float32)})


def test_a_loss_that_is_not_finite_names_its_task_and_keeps_the_student():
    sizes = {"a": (WIDE, 3), "b": (NARROW, 2)}
    policies = policies_of(sizes, (6, 7))
    sharing = share(shapes_of(sizes, (6, 7)), [0, 1], 2)
    config = DistillConfig(batch_size=8, max_recoveries=1)
    trainer = SharedTrainer(policies, [forward_kl] * 2, sharing, config, Balance("divergence", 2))
    before = trainer.weights()
    broken = Drawn(NARROW, 2, 1)
    broken.labels[:] = float("nan")
    with pytest.raises(Exception, match="not finite in b"):
        trainer.fit([Drawn(WIDE, 3, 0), broken], 3, (0.0, 0.1), seed=0)
    assert np.array_equal(trainer.weights(), before)


def test_what_diverges_by_more_than_the_floor_is_divided_by_its_running_mean_and_the_rest_by_nothing():
    balance = Balance("divergence", 2)
    assert np.allclose(balance.weights(np.array([4 * FLOOR, 0.5])), [1 / 8, 1 / 2])
    mean = MEMORY * 4 + (1 - MEMORY) * 2
    assert np.allclose(balance.weights(np.array([2 * FLOOR, 0.9 * FLOOR])), [1 / (2 * mean), 1 / 2])
    # A task that is learnt weighs no more than one that is not.
    assert np.allclose(Balance("divergence", 3).weights(np.array([0.0, 1e-6, 5.0])), 1 / 3)


def test_the_teachers_entropy_divides_each_loss():
    balance = Balance("entropy", 2)
    balance.begin([Categorical(2), Categorical(4)], [torch.zeros(3, 2), torch.zeros(3, 4)])
    assert np.allclose(balance.weights(np.array([1.0, 1.0])), [0.5 / np.log(2), 0.5 / np.log(4)])
    assert np.allclose(Balance("none", 4).weights(np.ones(4)), 0.25)
