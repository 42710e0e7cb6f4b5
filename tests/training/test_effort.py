import numpy as np
import pytest

from policy_distill.config import DistillConfig
from policy_distill.environments.open import open_environments
from policy_distill.losses.kl import forward_kl
from policy_distill.run.session import Session
from policy_distill.training.effort import FEWEST, FORMER, LEAST, MOST, Effort, n_held
from tests.doubles import cartpole_teacher


def after(losses, n=60):
    """Return the effort after `n` rollouts of these held-out losses."""
    effort = Effort()
    for _ in range(n):
        effort.look(*losses)
    return effort


def test_steps_that_help_on_held_out_states_become_more_up_to_a_bound():
    assert after((1.0, 0.9), n=3).factor > 1.0
    assert after((1.0, 0.9)).factor == MOST


@pytest.mark.parametrize("losses", [(1.0, 1.0), (1.0, 1.1), (0.0, 0.0)])
def test_steps_that_do_not_help_become_fewer_down_to_a_bound(losses):
    assert after(losses, n=3).factor < 1.0
    assert after(losses).factor == LEAST


def test_few_steps_need_bring_less_than_many():
    few, many = Effort(factor=LEAST), Effort(factor=MOST)
    for effort in (few, many):
        effort.look(1.0, 0.9995)
    assert few.factor > LEAST
    assert many.factor < MOST


def test_an_effort_comes_back_from_a_checkpoint_as_it_was():
    effort = after((2.0, 1.9), n=4)
    assert Effort.from_json(effort.to_json()) == effort


def test_an_effort_of_an_earlier_version_goes_on_within_the_bounds_of_this_one():
    found = Effort.from_json({"factor": FORMER, "middle": 1.0, "end": 0.9})
    assert found == Effort(MOST, 1.0, 0.9)


@pytest.mark.parametrize("lie", [{"factor": 100.0}, {"factor": float("nan")}, {"middle": None}, {"end": "low"}])
def test_an_effort_that_is_none_is_refused(lie):
    with pytest.raises((ValueError, TypeError)):
        Effort.from_json({"factor": 1.0, "middle": 1.0, "end": 1.0, **lie})


def test_short_rollouts_hold_nothing_out():
    assert n_held(128, 8) == 128
    assert n_held(4, 1_000) == 0
    assert n_held(8, FEWEST - 1) == 0


def session_of(**settings):
    config = DistillConfig(timesteps=1024, n_envs=4, n_steps=128, **settings)
    return Session(cartpole_teacher(), open_environments("CartPole-v1", 4), "mlp:4", forward_kl, config)


def test_held_out_states_are_stored_in_the_end_in_their_order():
    found = []
    for passes in ("auto", "fixed"):
        session = session_of(passes=passes)
        rollout = session.collect()
        metrics = session.learn(rollout, session.stream.label(rollout))
        assert ("train/effort" in metrics) == (passes == "auto")
        found.append(session.stream.buffer.state())
    assert found[0].keys() == found[1].keys()
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def noting(learn, sizes, moments):
    """Return what learns and notes how many states there are, and where the run is."""
    return lambda buffer, moment: sizes.append(buffer.size) or moments.append(moment) or learn(buffer, moment)


def test_what_is_held_out_is_not_learnt_from(monkeypatch):
    sizes, moments, found = [], [], []
    for factor in (1.0, -10.0):
        session = session_of()
        rollout = session.collect()
        params = session.stream.label(rollout)
        # The last part says something else; nobody must hear of it yet.
        params[-64:] *= factor
        session.create_student(None, params[:-64])
        learner = session.learner
        monkeypatch.setattr(learner, "learn", noting(learner.learn, sizes, moments))
        metrics = session.learn(rollout, params)
        found.append((metrics["train/loss"], metrics["train/heldout_loss"]))
    assert sizes == [448] * 4
    assert all(moment.measured for moment in moments)
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


@pytest.mark.parametrize("student", ["tree:4", "history:2+mlp:4"])
def test_students_whose_passes_are_fixed_learn_from_all_at_once(student):
    config = DistillConfig(timesteps=1024, n_envs=4, n_steps=128)
    session = Session(cartpole_teacher(), open_environments("CartPole-v1", 4), student, forward_kl, config)
    rollout = session.collect()
    assert "train/effort" not in session.learn(rollout, session.stream.label(rollout))
