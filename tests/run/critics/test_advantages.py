import numpy as np
import pytest

from policy_distill.run.critics.advantages import advantages, follows

RNG = np.random.default_rng(0)


def test_what_follows_a_step_is_known_unless_the_rollout_or_the_episode_was_cut():
    # Three environments: one that ends by itself, one that a limit cuts, one that the rollout cuts.
    starts = np.zeros((4, 3), bool)
    starts[2, 0] = starts[2, 1] = True
    terminated = np.zeros((4, 3), bool)
    terminated[1, 0] = terminated[3, 0] = True
    goes_on, known = follows(starts, terminated)
    assert goes_on.T.tolist() == [[True, False, True, False], [True, False, True, False], [True, True, True, False]]
    assert known.T.tolist() == [[True, True, True, True], [True, False, True, False], [True, True, True, False]]


def by_hand(rewards, values, goes_on, known, discount, trace):
    """Return Σ_k (γ λ)^k δ_{t+k}, step by step forwards."""
    found = np.zeros(len(rewards))
    for t in range(len(rewards)):
        weight, at = 1.0, t
        while known[at]:
            after = values[at + 1] if goes_on[at] else 0.0
            found[t] += weight * (rewards[at] + discount * after - values[at])
            if not goes_on[at]:
                break
            weight, at = weight * discount * trace, at + 1
    return found


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_advantages_are_traced_within_an_episode_alone(trace):
    shape = (40, 5)
    rewards, values = RNG.normal(size=shape), RNG.normal(size=shape)
    starts, terminated = RNG.random(shape) < 0.15, np.zeros(shape, bool)
    terminated[:-1] = starts[1:] & (RNG.random((39, 5)) < 0.5)
    found, known = advantages(rewards, values, starts, terminated, 0.9, trace)
    goes_on, same = follows(starts, terminated)
    assert np.array_equal(known, same) and known.any() and not known.all()
    for env in range(5):
        parts = (rewards, values, goes_on, known)
        assert found[:, env] == pytest.approx(by_hand(*(part[:, env] for part in parts), 0.9, trace))
    assert not found[~known].any()


def test_a_rollout_that_is_cut_in_two_has_the_same_one_step_advantages_but_for_the_cut():
    rewards, values = RNG.normal(size=(10, 1)), RNG.normal(size=(10, 1))
    none = np.zeros((10, 1), bool)
    whole, _ = advantages(rewards, values, none, none, 0.9, 0.0)
    first, known = advantages(rewards[:6], values[:6], none[:6], none[:6], 0.9, 0.0)
    assert first[:5] == pytest.approx(whole[:5])
    assert known[:, 0].tolist() == [True] * 5 + [False]
