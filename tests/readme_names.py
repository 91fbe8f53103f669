"""The names that the snippets of the README use: a pair in each of the shapes it shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pytest_gradcheck import network
from pytest_gradcheck.network import initialize

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 20))
Y = network.one_hot(np.arange(20) % 2)
random_params = partial(initialize, (3, 4, 2))
params = parameters = small_params = random_params(rng)
large_params = initialize((3, 8000, 2), rng)


def cost(
    params: Any,
    X: Any = X,
    Y: Any = Y,
    lambd: float = 0.0,
    keep_prob: float = 1.0,
    rng: np.random.Generator | None = None,
) -> float:
    return network.cost(params, X, Y, lambd=lambd, keep_prob=keep_prob, rng=rng)


def grad(
    params: Any,
    X: Any = X,
    Y: Any = Y,
    lambd: float = 0.0,
    keep_prob: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Any:
    return network.backprop(params, X, Y, lambd=lambd, keep_prob=keep_prob, rng=rng)


def grad_with_weight_decay(params: Any) -> Any:
    return network.backprop(params, X, Y, lambd=0.7)


def gradient_of_one(params: Any) -> Any:
    """Return the gradient of half a squared error, of a tanh network."""
    A = np.tanh(params["W1"] @ X + params["b1"])
    dZ2 = params["W2"] @ A + params["b2"] - Y
    dZ1 = params["W2"].T @ dZ2 * (1 - A**2)
    return {
        "dW1": dZ1 @ X.T,
        "db1": dZ1.sum(axis=1, keepdims=True),
        "dW2": dZ2 @ A.T,
        "db2": dZ2.sum(axis=1, keepdims=True),
    }


def loss(params: Any) -> tuple[float, Any]:
    return cost(params), grad(params)


def forward_propagation(X: Any, Y: Any, parameters: Any) -> tuple[float, Any]:
    return network.cost(parameters, X, Y), dict(parameters)


def backward_propagation(X: Any, Y: Any, cache: Any) -> Any:
    return network.backprop(cache, X, Y)


class Net:
    """A network that owns its arrays."""

    def __init__(self) -> None:
        self.params = initialize((3, 4, 2), np.random.default_rng(1))

    def loss(self) -> float:
        return network.cost(self.params, X, Y)

    def gradient(self) -> Any:
        return network.backprop(self.params, X, Y)


net = Net()
x, w, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)


def forward(x: Any, w: Any, b: Any) -> tuple[Any, Any]:
    return x @ w + b, (x, w)


def backward(dout: Any, cache: Any) -> tuple[Any, Any, Any]:
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def f(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    out = np.tanh(x)
    return out, lambda dout: dout * (1 - out**2)


class Layer:
    """A layer object that keeps its gradients beside its arrays."""

    def __init__(self) -> None:
        self.W, self.b = w.copy(), b.copy()

    def forward(self, x: Any) -> Any:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout: Any) -> Any:
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


layer = Layer()


class Value:
    """A scalar that remembers where it comes from, in the manner of micrograd."""

    def __init__(self, data: float, back: Callable[[float], None] | None = None) -> None:
        self.data, self.grad, self._back = data, 0.0, back

    def __mul__(self, other: Any) -> Any:
        return Value(self.data * other, lambda grad: self.backward(grad * other))

    def backward(self, grad: float = 1.0) -> None:
        self.grad += grad
        if self._back is not None:
            self._back(grad)


value = Value(0.7)


def square(x: Value) -> Value:
    return Value(x.data**2, lambda grad: x.backward(2 * x.data * grad))


theta = rng.normal(size=3)
M = rng.normal(size=(4, 3))


def g(x: Any) -> Any:
    return np.sin(x)


def jvp(x: Any, dx: Any) -> Any:
    return np.cos(x) * dx


def residuals(theta: Any) -> Any:
    return np.tanh(M @ theta)


def jac(theta: Any) -> Any:
    return (1 - np.tanh(M @ theta) ** 2)[:, None] * M


def score(theta: Any) -> Any:
    return M.T @ np.tanh(M @ theta)


def hess(theta: Any) -> Any:
    return M.T @ jac(theta)


def hessp(theta: Any, p: Any) -> Any:
    return hess(theta) @ p
