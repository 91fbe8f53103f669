"""Softmax and sigmoid outputs, with their losses."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_gradcheck.network import OUTPUTS, sigmoid, softmax
from pytest_gradcheck.network.outputs import output_named, sigmoid_losses, softmax_losses

RNG = np.random.default_rng(0)
Z = RNG.normal(scale=3.0, size=(4, 50))


def test_softmax_columns_are_probabilities() -> None:
    A = softmax(Z)
    assert (A > 0).all()
    np.testing.assert_allclose(A.sum(axis=0), 1.0)


def test_softmax_is_not_changed_by_a_constant() -> None:
    np.testing.assert_allclose(softmax(Z + 1e3), softmax(Z), rtol=1e-12)


def test_softmax_losses_are_minus_the_logarithm_of_the_right_probability() -> None:
    Y = np.eye(4)[:, RNG.integers(0, 4, 50)]
    np.testing.assert_allclose(softmax_losses(Z, Y), -np.log((Y * softmax(Z)).sum(axis=0)))


def test_softmax_losses_take_probabilities_for_targets() -> None:
    Y = softmax(RNG.normal(size=(4, 50)))
    np.testing.assert_allclose(softmax_losses(Z, Y), -(Y * np.log(softmax(Z))).sum(axis=0))


def test_sigmoid_losses_are_the_cross_entropy_of_the_course() -> None:
    Y = RNG.integers(0, 2, size=(4, 50)).astype(float)
    A = sigmoid(Z)
    expected = -(Y * np.log(A) + (1 - Y) * np.log(1 - A)).sum(axis=0)
    np.testing.assert_allclose(sigmoid_losses(Z, Y), expected)


def test_a_loss_far_below_rounding_error_is_exact() -> None:
    sure = np.array([[60.0], [0.0]])
    right = np.array([[1.0], [0.0]])
    np.testing.assert_allclose(softmax_losses(sure, right), np.exp(-60.0), rtol=1e-12)
    np.testing.assert_allclose(sigmoid_losses(sure[:1], right[:1]), np.exp(-60.0), rtol=1e-12)


def test_a_loss_beyond_the_range_of_exp_is_exact() -> None:
    sure = np.array([[5000.0], [0.0]])
    wrong = np.array([[0.0], [1.0]])
    assert softmax_losses(sure, wrong) == 5000.0
    assert sigmoid_losses(sure[:1], wrong[:1]) == 5000.0


@pytest.mark.parametrize("name", OUTPUTS)
def test_derivative_of_the_losses_is_the_output_less_the_target(name: str) -> None:
    function, losses = OUTPUTS[name]
    Y = np.eye(4)[:, RNG.integers(0, 4, 50)]
    step = 1e-5
    for row in range(4):
        nudge = np.zeros((4, 1))
        nudge[row] = step
        slope = (losses(Z + nudge, Y) - losses(Z - nudge, Y)) / (2 * step)
        np.testing.assert_allclose((function(Z) - Y)[row], slope, atol=1e-9)


def test_unknown_name_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(ValueError, match=r"unknown output 'soft_max'.*mean 'softmax'"):
        output_named("soft_max")
