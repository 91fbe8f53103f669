"""The activations and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_gradcheck.network import ACTIVATIONS, sigmoid, sigmoid_derivative
from pytest_gradcheck.network.activations import LEAK, activation_named

# No point lies at the kink of ReLU, nor within a step of it.
POINTS = np.array([-30.0, -5.0, -1.0, -0.1, 0.1, 1.0, 5.0, 30.0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_the_slope_of_the_function(name: str) -> None:
    function, derivative = ACTIVATIONS[name]
    step = 1e-5
    slope = (function(POINTS + step) - function(POINTS - step)) / (2 * step)
    np.testing.assert_allclose(derivative(POINTS), slope, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_function_and_derivative_are_finite_for_extreme_input(name: str) -> None:
    extreme = np.array([-1e300, -1e4, 1e4, 1e300])
    function, derivative = ACTIVATIONS[name]
    assert np.isfinite(function(extreme)).all()
    assert np.isfinite(derivative(extreme)).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
def test_shape_is_kept(name: str, shape: tuple[int, ...]) -> None:
    z = np.ones(shape)
    function, derivative = ACTIVATIONS[name]
    assert np.shape(function(z)) == np.shape(derivative(z)) == shape


def test_sigmoid_is_exact_in_both_tails() -> None:
    np.testing.assert_allclose(sigmoid(np.array([-700.0])), np.exp([-700.0]), rtol=1e-15)
    np.testing.assert_allclose(sigmoid_derivative(np.array([50.0])), np.exp([-50.0]), rtol=1e-15)


def test_sigmoid_of_opposite_numbers_adds_up_to_one() -> None:
    z = np.linspace(-40, 40, 101)
    np.testing.assert_allclose(sigmoid(z) + sigmoid(-z), 1.0, rtol=1e-15)


def test_derivative_at_the_kink_is_the_slope_from_below() -> None:
    at_zero = np.zeros(1)
    assert ACTIVATIONS["relu"].derivative(at_zero) == 0.0
    assert ACTIVATIONS["leaky_relu"].derivative(at_zero) == LEAK


def test_unknown_name_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(ValueError, match=r"unknown activation 'leaky-relu'.*mean 'leaky_relu'"):
        activation_named("leaky-relu")


def test_a_name_like_no_other_is_refused_with_all_names() -> None:
    with pytest.raises(ValueError, match="known are 'relu', 'leaky_relu', 'tanh', 'sigmoid'"):
        activation_named("xyz")
