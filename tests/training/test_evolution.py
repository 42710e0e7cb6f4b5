import numpy as np
import pytest

from policy_distill.training.evolution import EvolutionStrategy, centred_ranks


def rosenbrock(x):
    """Return minus Rosenbrock's function, whose maximum is 0 where all are 1, `[K]` for points `[K, P]`."""
    x = np.asarray(x, np.float64)
    return -(100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)


def climb(function, start, n_generations, **settings):
    search = EvolutionStrategy(start, **settings)
    for _ in range(n_generations):
        search.tell(function(search.ask(), search.generation))
    return search


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_weights", [3, 300])
def test_a_quadratic_under_common_noise_is_climbed_to_its_top(seed, n_weights):
    top = np.random.default_rng(99).standard_normal(n_weights)

    def returns(x, generation):
        # The episode's luck, ten times what a direction can gain, is the same for all.
        return -((x - top) ** 2).sum(axis=1) + 1_000 * np.random.default_rng(generation).standard_normal()

    search = climb(returns, np.zeros(n_weights), 400, n_pairs=16, seed=seed)
    assert np.sqrt(((search.weights - top) ** 2).mean()) < 0.25 < np.sqrt((top**2).mean())


def test_a_curved_valley_is_followed():
    start = np.array([-1.0, 1.0])
    found = climb(lambda x, _: rosenbrock(x), start, 1_500, n_pairs=8, sigma=0.02, rate=0.01).weights
    assert rosenbrock(start[None])[0] < -3.9 < -0.1 < rosenbrock(found[None])[0]


def test_the_first_step_goes_up_by_the_rate():
    slope = np.array([3.0, -0.5, 1.0])
    search = climb(lambda x, _: x @ slope, np.zeros(3), 1, n_pairs=500, rate=0.1)
    assert np.allclose(search.weights, 0.1 * np.sign(slope), atol=1e-6)


def test_one_return_that_is_far_off_moves_no_more_than_any_last_place():
    near, far = (EvolutionStrategy(np.zeros(4), n_pairs=3) for _ in range(2))
    near.tell([1, 2, 3, 4, 5, 0.0])
    far.tell([1, 2, 3, 4, 5, -1e9])
    assert np.array_equal(near.weights, far.weights)
    lost = EvolutionStrategy(np.zeros(4), n_pairs=3)
    lost.tell([1, 2, 3, 4, 5, np.nan])
    assert np.array_equal(near.weights, lost.weights)


def test_candidates_are_pairs_around_the_weights_and_the_same_when_asked_again():
    search = EvolutionStrategy(np.arange(5.0), n_pairs=4, sigma=0.5, seed=3)
    asked = search.ask()
    assert asked.shape == (8, 5) and asked.dtype == np.float32
    assert np.allclose((asked[:4] + asked[4:]) / 2, np.arange(5.0), atol=1e-6)
    assert np.array_equal(asked, search.ask())
    assert 0.3 < (asked[:4] - np.arange(5.0)).std() < 0.7
    search.tell(np.zeros(8))
    # Nobody was better: nothing moves, and others are asked about next.
    assert np.array_equal(search.weights, np.arange(5.0)) and not np.allclose(asked, search.ask())
    assert not np.allclose(asked, EvolutionStrategy(np.arange(5.0), n_pairs=4, sigma=0.5, seed=4).ask())


def test_a_search_that_goes_on_from_its_state_is_the_same_bit_for_bit():
    start, settings = np.zeros(6), {"n_pairs": 4, "seed": 5}

    def function(x, generation):
        return -((x - 1) ** 2).sum(axis=1) + generation

    whole, first = climb(function, start, 9, **settings), climb(function, start, 4, **settings)
    again = EvolutionStrategy(start, **settings)
    again.restore(first.state())
    for _ in range(5):
        again.tell(function(again.ask(), again.generation))
    assert all(np.array_equal(one, again.state()[name]) for name, one in whole.state().items())
    kept = first.state()
    first.tell(np.arange(8.0))
    assert not np.array_equal(kept["weights"], first.weights)


def test_ranks_are_centred_and_shared_by_equals():
    assert centred_ranks([5.0, 1.0, 3.0]).tolist() == [0.5, -0.5, 0.0]
    assert centred_ranks([2.0, 2.0, 7.0, 1.0]).tolist() == pytest.approx([0.0, 0.0, 0.5, -0.5])


@pytest.mark.parametrize(
    ("start", "settings"),
    [
        (np.zeros((2, 2)), {}),
        (np.zeros(0), {}),
        (np.array([1.0, np.nan]), {}),
        (np.zeros(2), {"n_pairs": 0}),
        (np.zeros(2), {"sigma": 0.0}),
        (np.zeros(2), {"rate": np.inf}),
    ],
)
def test_what_cannot_be_searched_is_refused(start, settings):
    with pytest.raises(ValueError, match="expected"):
        EvolutionStrategy(start, **settings)


def test_what_does_not_belong_to_a_search_is_refused():
    search = EvolutionStrategy(np.zeros(3), n_pairs=2)
    with pytest.raises(ValueError, match="4 candidates, found 3"):
        search.tell([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="among 3 weights"):
        search.restore(EvolutionStrategy(np.zeros(4)).state())
