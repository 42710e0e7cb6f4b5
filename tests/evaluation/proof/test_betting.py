import math

import numpy as np
import pytest

from policy_distill.evaluation.proof.betting import (
    SHARES,
    WEIGHTS,
    episodes_needed,
    log_capital,
    log_capital_path,
    rejected_up_to,
)


def test_capital_begins_at_one_and_is_the_mean_of_products():
    assert log_capital(np.zeros(0)) == pytest.approx(0.0)
    x = np.array([0.5, -0.25])
    expected = sum(w * (1 + 0.5 * s) * (1 - 0.25 * s) for s, w in zip(SHARES, WEIGHTS, strict=True))
    assert log_capital(x) == pytest.approx(math.log(expected))


def test_the_order_of_the_episodes_does_not_matter():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 50)
    assert log_capital(x) == pytest.approx(log_capital(rng.permutation(x)))


def test_the_expected_capital_is_one_where_the_mean_is_zero():
    # All outcomes of three fair bets, exactly: -1 with 2 to 1 against a win of 2.
    total = 0.0
    for first in (-1.0, 2.0):
        for second in (-1.0, 2.0):
            for third in (-1.0, 2.0):
                chance = math.prod(2 / 3 if x < 0 else 1 / 3 for x in (first, second, third))
                total += chance * math.exp(log_capital(np.array([first, second, third])))
    assert total == pytest.approx(1.0)


def test_the_path_is_the_capital_of_every_beginning():
    x = np.random.default_rng(2).uniform(-1, 1, 20)
    assert log_capital_path(x) == pytest.approx([log_capital(x[: n + 1]) for n in range(20)])


def test_what_loses_more_than_everything_never_comes_back():
    assert log_capital(np.array([-1.1, *[1.0] * 100])) < log_capital(np.array([-1.0, *[1.0] * 100]))
    assert math.isinf(log_capital(np.array([-60.0, 5.0])))


@pytest.mark.parametrize(("x", "expected"), [(0.05 / 1.1, 75), (0.05 / 2.0, 135)])
def test_equal_numbers_need_as_many_episodes_as_a_loop_finds(x, expected):
    n = next(n for n in range(1, 1000) if log_capital(np.full(n, x)) >= math.log(20))
    assert episodes_needed(x, 0.05) == n == expected


def test_the_bound_is_where_the_capital_is_exactly_the_limit():
    rng = np.random.default_rng(1)
    base, slope = 0.9 + rng.normal(0, 0.1, 80), np.ones(80)
    low = rejected_up_to(base, slope, 1.5, 0.05)
    assert log_capital((base - low * slope) / 1.5) == pytest.approx(math.log(20), abs=1e-6)
    assert low < base.mean()


def test_without_evidence_there_is_no_bound():
    assert rejected_up_to(np.array([1.0, -1.0]), np.array([1.0, -0.9]), 1.0, 0.05) == -math.inf
