"""Gradient descent, momentum and Adam."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pytest_gradcheck.network import Adam, GradientDescent, Momentum, Optimizer

MAKERS: list[Callable[[], Optimizer]] = [
    lambda: GradientDescent(0.05),
    lambda: Momentum(0.05),
    lambda: Adam(0.05),
]


@pytest.mark.parametrize("make", MAKERS)
def test_the_bottom_of_a_bowl_is_found(make: Callable[[], Optimizer]) -> None:
    optimizer = make()
    bottom = np.array([[1.0, -2.0]])
    params = {"W1": np.array([[4.0, 4.0]]), "b1": np.array([[3.0]])}
    for _ in range(800):
        grads = {"dW1": params["W1"] - bottom, "db1": params["b1"]}
        params = optimizer.step(params, grads)
    np.testing.assert_allclose(params["W1"], bottom, atol=1e-3)
    np.testing.assert_allclose(params["b1"], 0.0, atol=1e-3)


@pytest.mark.parametrize("make", MAKERS)
def test_the_old_parameters_are_left_alone(make: Callable[[], Optimizer]) -> None:
    params, grads = {"W1": np.ones((2, 2))}, {"dW1": np.ones((2, 2))}
    optimizer = make()
    stepped = optimizer.step(optimizer.step(params, grads), grads)
    assert (params["W1"] == 1).all()
    assert (grads["dW1"] == 1).all()
    assert (stepped["W1"] < 1).all()


def test_momentum_is_a_moving_average_of_the_gradients() -> None:
    optimizer, params = Momentum(learning_rate=1.0, beta=0.9), {"W1": np.zeros((1, 1))}
    v = 0.0
    for gradient in (3.0, -1.0, 2.0):
        v = 0.9 * v + 0.1 * gradient
        before = params["W1"].item()
        params = optimizer.step(params, {"dW1": np.array([[gradient]])})
        assert params["W1"].item() == pytest.approx(before - v)


def test_adam_follows_the_paper() -> None:
    optimizer, params = Adam(learning_rate=0.1), {"W1": np.zeros((1, 1))}
    gradients = [3.0, -1.0, 2.0]
    expected, v, s = 0.0, 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        v, s = 0.9 * v + 0.1 * gradient, 0.999 * s + 0.001 * gradient**2
        expected -= 0.1 * (v / (1 - 0.9**t)) / ((s / (1 - 0.999**t)) ** 0.5 + 1e-8)
        params = optimizer.step(params, {"dW1": np.array([[gradient]])})
        assert params["W1"].item() == pytest.approx(expected, rel=1e-12)


def test_two_optimizers_do_not_share_their_memory() -> None:
    params, grads = {"W1": np.zeros((1, 1))}, {"dW1": np.ones((1, 1))}
    Momentum().step(params, grads)
    assert Momentum(1.0, beta=0.5).step(params, grads)["W1"].item() == -0.5


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [GradientDescent, Momentum, Adam])
def test_a_learning_rate_that_cannot_be_is_refused(
    kind: type[GradientDescent | Momentum | Adam], rate: float
) -> None:
    with pytest.raises(ValueError, match=f"learning_rate is {rate}: it must be positive"):
        kind(learning_rate=rate)


@pytest.mark.parametrize("value", [1.0, -0.1])
def test_a_moving_average_that_cannot_be_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="beta is"):
        Momentum(beta=value)
    with pytest.raises(ValueError, match="beta1 is"):
        Adam(beta1=value)
    with pytest.raises(ValueError, match="beta2 is"):
        Adam(beta2=value)
    with pytest.raises(ValueError, match="epsilon is"):
        Adam(epsilon=0.0)
