"""The price of large weights."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_gradcheck.network import backprop, cost, initialize, one_hot, penalty

PARAMS = {
    "W1": np.array([[1.0, -2.0]]),
    "b1": np.array([[100.0]]),
    "W2": np.array([[3.0]]),
    "b2": np.array([[-100.0]]),
}


def test_l2_is_half_the_sum_of_squares_over_the_examples() -> None:
    assert penalty(PARAMS, 7, lambd=0.5) == pytest.approx(0.5 / 14 * (1 + 4 + 9))


def test_l1_is_half_the_sum_of_magnitudes_over_the_examples() -> None:
    assert penalty(PARAMS, 7, l1=0.5) == pytest.approx(0.5 / 14 * (1 + 2 + 3))


def test_both_penalties_add_up() -> None:
    both = penalty(PARAMS, 7, lambd=0.5, l1=0.3)
    assert both == pytest.approx(penalty(PARAMS, 7, lambd=0.5) + penalty(PARAMS, 7, l1=0.3))


def test_cost_is_the_data_cost_plus_the_penalty() -> None:
    rng = np.random.default_rng(0)
    params, X, Y = initialize((4, 3, 2), rng), rng.normal(size=(4, 5)), one_hot([0, 1, 1, 0, 1])
    whole = cost(params, X, Y, lambd=0.7, l1=0.2)
    assert whole == pytest.approx(cost(params, X, Y) + penalty(params, 5, lambd=0.7, l1=0.2))


@pytest.mark.parametrize("name", ["lambd", "l1"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_strength_that_cannot_be_is_refused_by_cost_and_backprop(name: str, value: float) -> None:
    X, Y, params = np.ones((2, 3)), np.ones((1, 3)), {"W1": np.ones((1, 2)), "b1": np.ones((1, 1))}
    lambd, l1 = (value, 0.0) if name == "lambd" else (0.0, value)
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        cost(params, X, Y, output="sigmoid", lambd=lambd, l1=l1)
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        backprop(params, X, Y, output="sigmoid", lambd=lambd, l1=l1)
