"""Objectives with a score term: their gradients against those of all trajectories, enumerated."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from policy_distill.collection.rollout import Rollout
from policy_distill.config import DistillConfig
from policy_distill.families.categorical import Categorical
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.kl import forward_kl, reverse_kl
from policy_distill.losses.scored import ScoredLoss
from policy_distill.run.critics import objective
from policy_distill.run.critics.objective import Labelled, Score
from policy_distill.student.actions import ActionMap
from policy_distill.student.features import Normalizer
from policy_distill.student.spaces import describe_space
from policy_distill.training.schedule import Moment
from policy_distill.training.spec import StudentSpec

# Four states, of which the last ends an episode; three steps end it too. Which state follows is drawn.
N_STATES, N_ACTIONS, HORIZON, END = 4, 2, 3, 3
RNG = np.random.default_rng(0)
MOVES = RNG.dirichlet(np.ones(N_STATES), size=(END, N_ACTIONS))
REWARDS = RNG.normal(size=(END, N_ACTIONS))
TEACHER = torch.from_numpy(RNG.normal(size=(N_STATES, N_ACTIONS)))
VALUES = RNG.normal(size=N_STATES)
THETA = torch.from_numpy(RNG.normal(size=(N_STATES, N_ACTIONS)))
FAMILY, MAP = Categorical(N_ACTIONS), ActionMap("index", (), "int64")
SPEC = StudentSpec(
    network="linear",
    activation="tanh",
    family=FAMILY,
    log_std=None,
    observation_space=describe_space(spaces.Box(-1.0, 1.0, (N_STATES,), np.float32)),
    action_space=describe_space(spaces.Discrete(N_ACTIONS)),
    action_map=MAP,
    normalizer=Normalizer(np.zeros(N_STATES), np.ones(N_STATES), np.inf, 0.0),
)
BASELINES = {"none": np.zeros(N_STATES), "any": RNG.normal(size=N_STATES)}


def trajectories():
    """Yield every trajectory: its states, its actions, and the probability of all that the environment drew."""

    def onward(state, steps):
        if state == END or steps == HORIZON:
            yield [], [], 1.0
            return
        for action, after in itertools.product(range(N_ACTIONS), range(N_STATES)):
            for states, actions, p in onward(after, steps + 1):
                yield [state, *states], [action, *actions], p * MOVES[state, action, after]

    yield from onward(0, 0)


def probability(theta, states, actions):
    return torch.log_softmax(theta, dim=1)[states, actions].sum().exp()


def divergences(loss, theta, states):
    return loss(Batch(torch.zeros(len(states), 0), TEACHER[states]), Outputs(FAMILY, theta[states]))


def of_divergence(loss):
    return lambda theta, states, actions: divergences(loss, theta, states).sum()


def of_trajectory_kl(theta, states, actions):
    """Return log q(τ) - log π(τ), without a closed form for any step."""
    chosen = [torch.log_softmax(logits, dim=1)[states, actions].sum() for logits in (theta, TEACHER)]
    return chosen[0] - chosen[1]


def of_return(theta, states, actions):
    """Return the negative return."""
    return -torch.tensor(REWARDS[states, actions].sum())


def brute_gradient(of_trajectory):
    """Return the gradient of an expectation, through the probability of every trajectory."""
    theta = THETA.clone().requires_grad_()
    everything = trajectories()
    total = sum(p * probability(theta, s, a) * of_trajectory(theta, s, a) for s, a, p in everything)
    return torch.autograd.grad(total, theta)[0]


class Table:
    """A learner whose student has a table of logits."""

    def params(self, features):
        return features.double() @ THETA


class Fixed:
    """A baseline that has learnt some function of the state, and learns no more."""

    begun = True

    def __init__(self, table):
        self.table, self.told = table, []

    def values(self, features):
        return torch.from_numpy(self.table[features.argmax(dim=1).numpy()])

    def learn(self, source, targets, moment):
        self.told.append(targets)


def rollout_of(states, actions):
    shape = (len(states), 1)
    starts, terminated = np.zeros(shape, bool), np.zeros(shape, bool)
    starts[0] = terminated[-1] = True
    columns = {"rewards": REWARDS[states, actions][:, None], "terminated": terminated}
    obs = np.eye(N_STATES, dtype=np.float32)[states][:, None]
    return Rollout(obs, starts, None, 0.0, {**columns, "actions": np.array(actions)[:, None]})


def seen_of(states, actions):
    rollout = rollout_of(states, actions)
    features, values = torch.from_numpy(rollout.obs[:, 0]).double(), torch.from_numpy(VALUES[states])
    return Labelled(rollout, features, TEACHER[states], values)


def stepped_gradient(name, loss, baseline, *, with_loss=True):
    """Return the mean, over all trajectories, of the gradient that a step is made along: both halves of a batch."""
    config, total = DistillConfig(objective=name), torch.zeros_like(THETA)
    for states, actions, p in trajectories():
        score = Score(SPEC, loss, config, 1.0)
        score.scale.add = lambda numbers: None  # of one trajectory's advantages it would be another in each
        if score.baseline is not None:
            score.baseline = Fixed(baseline)
        seen = seen_of(states, actions)
        rows, _ = score.rows(seen, Table(), Moment(0.0, 0.1, len(states), 0))
        assert len(rows.features) == len(states)
        labelled = Batch(seen.features, seen.teacher_params)
        scored = Batch(rows.features, rows.teacher_params, rows.columns)
        theta = THETA.clone().requires_grad_()
        both = labelled.joined(scored)
        values = ScoredLoss(loss, MAP)(both, Outputs(FAMILY, both.features @ theta))
        assert values.shape == (2 * len(states),)
        # A step takes the mean, and a trajectory's states are to be summed.
        kept = values if with_loss else values[len(states) :]
        total += p * probability(THETA, states, actions) * torch.autograd.grad(kept.sum() / 2, theta)[0]
    return total


@pytest.fixture
def undiscounted(monkeypatch):
    monkeypatch.setattr(objective, "DISCOUNT", 1.0)
    monkeypatch.setattr(objective, "TRACE", 1.0)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(
    ("name", "loss", "of_trajectory"),
    [
        ("n_distill", forward_kl, of_divergence(forward_kl)),
        ("n_distill", reverse_kl, of_divergence(reverse_kl)),
        ("reverse_trajectory", reverse_kl, of_trajectory_kl),
    ],
)
@pytest.mark.usefixtures("undiscounted")
def test_steps_are_along_the_gradient_of_all_trajectories(name, loss, of_trajectory, baseline):
    expected = brute_gradient(of_trajectory)
    torch.testing.assert_close(stepped_gradient(name, loss, BASELINES[baseline]), expected, rtol=1e-5, atol=1e-6)
    # Without the score term it is another vector, by a thousand times what is tolerated above.
    alone = sum(
        p * probability(THETA, s, a) * torch.autograd.grad(divergences(loss, t, s).sum(), t)[0]
        for s, a, p in trajectories()
        for t in [THETA.clone().requires_grad_()]
    )
    assert float((alone - expected).norm()) > 0.01 * float(expected.norm())


@pytest.mark.usefixtures("undiscounted")
def test_by_the_teachers_value_the_score_is_the_gradient_of_the_return_whatever_that_value_is():
    found = stepped_gradient("teacher_value", forward_kl, None, with_loss=False)
    torch.testing.assert_close(found, brute_gradient(of_return), rtol=1e-5, atol=1e-6)


def test_what_is_to_come_is_discounted_from_the_next_state_on(monkeypatch):
    monkeypatch.setattr(objective, "TRACE", 1.0)
    score = Score(SPEC, forward_kl, DistillConfig(objective="n_distill"), None)
    score.baseline = Fixed(BASELINES["any"])
    states = [0, 1, 2]
    rows, _ = score.rows(seen_of(states, [0, 1, 1]), Table(), Moment(0.0, 0.1, 3, 0))
    d, g = divergences(forward_kl, THETA, states).numpy(), objective.DISCOUNT
    to_come = np.array([g * d[1] + g * g * d[2], g * d[2], 0.0])
    assert rows.columns["cost"].numpy() == pytest.approx(to_come - BASELINES["any"][states], rel=1e-5)
    assert score.baseline.told[0].numpy() == pytest.approx(to_come, rel=1e-5, abs=1e-6)


def test_the_first_rollout_teaches_the_baseline_alone():
    score = Score(SPEC, forward_kl, DistillConfig(objective="n_distill"), None)
    seen, moment = seen_of([0, 1, 2], [0, 1, 1]), Moment(0.0, 0.1, 3, 0)
    seen = replace(seen, features=seen.features.float())
    assert score.rows(seen, Table(), moment) == (None, {})
    rows, _ = score.rows(seen, Table(), moment)
    assert len(rows.features) == 3
