from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_distill.config import DistillConfig
from policy_distill.losses.batch import Batch
from policy_distill.run.critics.critic import ValueCritic, critic_widths
from policy_distill.run.critics.rows import Joined, StateRows
from policy_distill.run.critics.scale import RunningScale
from policy_distill.student.features import Normalizer
from policy_distill.training.schedule import Moment
from policy_distill.training.spec import StudentSpec
from tests.doubles import cartpole_teacher

SPEC = StudentSpec.like(cartpole_teacher(), "mlp:8", "tanh", Normalizer(np.zeros(4), np.ones(4), 10.0, 0.0))
MOMENT = Moment(0.0, 0.5, 2048, 1)


def states(n=2048, seed=0):
    features = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 4))).float()
    return features, 1000 + 200 * torch.sin(features[:, 0]) + 50 * features[:, 1]


def test_the_running_scale_is_that_of_all_numbers():
    numbers, scale = np.random.default_rng(0).normal(7.0, 3.0, 1000), RunningScale()
    assert scale.deviation == 1.0
    for part in np.split(numbers, [10, 11, 11, 500]):
        scale.add(part)
    assert (scale.mean, scale.deviation) == pytest.approx((numbers.mean(), numbers.std()))
    again = RunningScale.of(scale.state())
    assert (again.n, again.mean, again.deviation) == (1000, scale.mean, scale.deviation)
    same = RunningScale()
    same.add(np.full(5, 1e6))
    assert same.deviation == 1.0, "what does not vary is not divided by nothing"
    for broken in ([1.0, np.nan, 1.0], [-1.0, 0.0, 1.0]):
        with pytest.raises(ValueError, match="scale"):
            RunningScale.of(np.array(broken))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_critic_learns_values_in_their_own_units(activation):
    critic = ValueCritic(replace(SPEC, activation=activation), DistillConfig(n_epochs=64), "test")
    features, targets = states()
    assert not critic.begun and not critic.values(features).any()
    losses = [critic.learn(StateRows(features, targets[:, None]), targets, replace(MOMENT, seed=i)) for i in range(3)]
    assert losses[-1] < 0.1
    new, true = states(seed=1)
    assert critic.explained(new, true) > 0.9
    record = critic.record(0.99)
    assert np.allclose(record.values(new.numpy()), critic.values(new).numpy(), rtol=1e-3)


def test_a_critic_goes_on_from_its_state_bit_for_bit():
    one, other = (ValueCritic(SPEC, DistillConfig(), "test") for _ in range(2))
    features, targets = states()
    one.learn(StateRows(features, targets[:, None]), targets, MOMENT)
    other.restore({name: np.array(array) for name, array in one.state().items()})
    for critic in (one, other):
        critic.learn(StateRows(features, 2 * targets[:, None]), 2 * targets, replace(MOMENT, seed=2))
    assert torch.equal(one.values(features), other.values(features))


def test_two_critics_of_one_run_draw_apart():
    one, other = (ValueCritic(SPEC, DistillConfig(), purpose) for purpose in ("one", "other"))
    features, targets = states()
    for critic in (one, other):
        critic.learn(StateRows(features, targets[:, None]), targets, MOMENT)
    assert not torch.equal(one.values(features), other.values(features))


def test_a_critic_is_as_wide_as_its_student_within_bounds():
    assert [critic_widths(n) for n in (0, 8, 100, 400)] == [[64, 64], [64, 64], [100, 100], [256, 256]]


def test_two_sources_are_drawn_side_by_side_and_lacking_columns_are_zero():
    first = StateRows(torch.zeros(10, 4), torch.zeros(10, 2), {"gate": torch.ones(10)})
    second = StateRows(torch.ones(5, 4), torch.ones(5, 2), {"cost": torch.full((5,), 7.0)})
    batches = list(Joined(first, second).minibatches(3, 6, torch.Generator().manual_seed(0)))
    assert len(batches) == 3
    for batch in batches:
        assert batch.features[:, 0].tolist() == [0.0] * 6 + [1.0] * 6
        assert batch.columns["gate"].tolist() == [1.0] * 6 + [0.0] * 6
        assert batch.columns["cost"].tolist() == [0.0] * 6 + [7.0] * 6
    assert isinstance(batches[0], Batch)
