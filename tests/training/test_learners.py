"""What every learner of the table answers to a run: the contract `Learner`."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.families.categorical import Categorical
from policy_distill.losses.kl import forward_kl
from policy_distill.networks.table import TREES
from policy_distill.student.actions import ActionMap
from policy_distill.student.spaces import describe_space
from policy_distill.training.buffer import Buffer
from policy_distill.training.learner import GradientLearner
from policy_distill.training.learners import LEARNERS, find_learner
from policy_distill.training.schedule import Moment
from policy_distill.training.spec import StudentSpec
from policy_distill.training.stores import Rows
from tests.students import ACTIONS, OBSERVATIONS
from tests.teachers.test_devices import AWAY, Elsewhere

N = 256
SPECS = {
    "mlp": ("mlp:4", "mlp:5", "vector"),
    "linear": ("linear", "mlp:5", "vector"),
    "cnn": ("cnn:2", "cnn:3", "image_first"),
    "gru": ("gru:4+mlp:3", "gru:5+mlp:3", "vector"),
    "history": ("history:3+mlp:4", "history:2+mlp:4", "vector"),
    "tree": ("tree:6", "tree:3", "vector"),
    "oblique_tree": ("oblique_tree:6", "tree:6", "vector"),
}


def make(network, observations):
    spec = StudentSpec(
        network=network,
        activation="tanh",
        family=Categorical(4),
        log_std=None,
        observation_space=describe_space(OBSERVATIONS[observations]),
        action_space=describe_space(ACTIONS["discrete"][0]),
        action_map=ActionMap("index", (), "int64"),
        normalizer=None,
    )
    kind, config = find_learner(network), DistillConfig(batch_size=32, n_steps=16)
    kind.check(network, "tanh")
    return spec, kind, kind(spec, forward_kl, config, None)


def states(spec, observations):
    """Return a buffer of labelled states, and raw observations."""
    generator = np.random.default_rng(0)
    shape = (N, *OBSERVATIONS[observations].shape)
    obs = (
        generator.integers(0, 255, shape).astype(np.uint8) if "image" in observations else generator.normal(size=shape)
    )
    obs = obs.astype(OBSERVATIONS[observations].dtype)
    store = Rows(N, spec.featurizer.shape, dtype="uint8" if "image" in observations else "float32")
    buffer = Buffer(store, 4, columns={"episode_starts": ((), torch.bool)})
    labels = torch.from_numpy(generator.normal(size=(N, 4)).astype(np.float32)) * 3
    starts = torch.arange(N) % 20 == 0
    buffer.add(torch.from_numpy(obs), labels, {"episode_starts": starts})
    return buffer, obs


def learnt(kind):
    network, _, observations = SPECS[kind]
    spec, made, learner = make(network, observations)
    buffer, obs = states(spec, observations)
    metrics = learner.learn(buffer, Moment(0.0, 0.5, N, 7))
    return spec, made, learner, buffer, obs, metrics


@pytest.mark.parametrize("kind", LEARNERS)
def test_its_parameters_are_those_of_its_student_and_its_size_was_known_before(kind):
    spec, made, learner, buffer, obs, metrics = learnt(kind)
    student = learner.student({"env_id": "Test-v0"}, None)
    found = learner.params(buffer.features.get(torch.arange(N)))
    assert found.device.type == "cpu" and not found.requires_grad
    assert np.allclose(found.numpy(), student.distribution_params(obs), atol=1e-4)
    # A tree has as many leaves as it finds use for.
    assert student.n_params == made.n_params(spec) or (kind in TREES and student.n_params < made.n_params(spec))
    assert metrics and all(isinstance(value, float) for value in metrics.values())
    assert learner.n_recoveries == 0


@pytest.mark.parametrize(
    ("network", "observations", "larger"),
    [
        ("mlp:4", "vector", 3.0),
        ("linear", "vector", 3.0),
        ("mlp:8,96", "vector", 2.0),
        ("mlp:256", "vector", 1.0),
        ("cnn:2", "image_first", 1.0),
    ],
)
def test_narrow_perceptrons_make_larger_steps_where_held_out_states_decide(network, observations, larger, monkeypatch):
    spec, _, learner = make(network, observations)
    buffer, _ = states(spec, observations)
    rates, step = [], learner.trainer.stepper.step
    monkeypatch.setattr(learner.trainer.stepper, "step", lambda batch, rate: rates.append(rate) or step(batch, rate))
    for measured in (False, True):
        learner.learn(buffer, Moment(0.0, 0.5, 32, 7, measured))
    before, after = rates[: -learner.config.n_epochs], rates[-learner.config.n_epochs :]
    assert (before[0], after[0]) == (learner.config.learning_rate, pytest.approx(larger * learner.config.learning_rate))
    assert len(before) == round(1.75 * learner.config.n_epochs), "many at the start, as settings say"


def test_a_rate_that_somebody_chose_is_taken_as_it_is(monkeypatch):
    spec, _, made = make("mlp:4", "vector")
    buffer, _ = states(spec, "vector")
    learner = GradientLearner(spec, forward_kl, replace(made.config, learning_rate=2e-3))
    rates, step = [], learner.trainer.stepper.step
    monkeypatch.setattr(learner.trainer.stepper, "step", lambda batch, rate: rates.append(rate) or step(batch, rate))
    learner.learn(buffer, Moment(0.0, 0.5, 32, 7, True))
    assert rates[0] == 2e-3


@pytest.mark.parametrize("kind", LEARNERS)
def test_its_parameters_lie_where_the_features_do(kind):
    _, _, learner, buffer, _, _ = learnt(kind)
    features = buffer.features.get(torch.arange(8))
    found = learner.params(features.as_subclass(Elsewhere))
    assert found.device == AWAY and found.shape == learner.params(features).shape


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_student_that_was_taken_from_it_stays_as_it_was(kind):
    _, _, learner, buffer, obs, _ = learnt(kind)
    student, kept = learner.student(), learner.weights()
    before = student.distribution_params(obs)
    # Other labels: what learns without chance finds the same in the same states.
    columns = {"episode_starts": buffer.columns["episode_starts"].clone()}
    buffer.add(buffer.features.get(torch.arange(N)), buffer.teacher_params.flip(0), columns)
    learner.learn(buffer, Moment(0.5, 1.0, N, 8))
    assert np.array_equal(student.distribution_params(obs), before)
    assert not np.array_equal(learner.student().distribution_params(obs), before)
    learner.set_weights(kept)
    assert np.array_equal(learner.student().distribution_params(obs), before)


@pytest.mark.parametrize("kind", LEARNERS)
def test_it_goes_on_from_its_state_bit_for_bit_and_refuses_anothers(kind):
    network, other, observations = SPECS[kind]
    _, _, learner, buffer, _, _ = learnt(kind)
    arrays = learner.state()
    assert all(name.startswith(("student.", "training.")) for name in arrays)
    again = make(network, observations)[2]
    again.restore({**arrays, "buffer.features": np.zeros(3)})
    for one in (learner, again):
        one.learn(buffer, Moment(0.5, 1.0, N, 9))
    assert all(torch.equal(value, again.weights()[name]) for name, value in learner.weights().items())
    stranger = make(other, observations)[2]
    with pytest.raises((ValueError, RuntimeError, KeyError)):
        stranger.restore(arrays)
    with pytest.raises((ValueError, RuntimeError)):
        stranger.set_weights(learner.weights())


def test_what_has_no_line_in_the_table_learns_by_gradients_and_a_wrong_network_is_refused_by_it():
    assert find_learner("nothing:3") is GradientLearner
    with pytest.raises(RequestError, match="expected a student such as"):
        find_learner("nothing:3").check("nothing:3", "tanh")
