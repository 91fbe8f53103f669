"""Three layers with an L2 penalty."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("backward",)


def forward(X, Y, parameters, lambd):
    m = X.shape[1]
    p = parameters
    Z1 = p["W1"] @ X + p["b1"]
    A1 = np.maximum(Z1, 0)
    Z2 = p["W2"] @ A1 + p["b2"]
    A2 = np.maximum(Z2, 0)
    Z3 = p["W3"] @ A2 + p["b3"]
    A3 = 1 / (1 + np.exp(-Z3))
    cross = -np.sum(Y * np.log(A3) + (1 - Y) * np.log(1 - A3)) / m
    squares = sum(np.sum(np.square(p[name])) for name in ("W1", "W2", "W3"))
    return cross + lambd / (2 * m) * squares, (Z1, A1, Z2, A2, A3, p)


def backward(X, Y, cache, lambd):
    m = X.shape[1]
    Z1, A1, Z2, A2, A3, p = cache
    dZ3 = (A3 - Y) / m
    dW3 = dZ3 @ A2.T + lambd / m * p["W3"]
    db3 = np.sum(dZ3, axis=1, keepdims=True)
    dA2 = p["W3"].T @ dZ3
    dZ2 = np.multiply(dA2, np.int64(A2 > 0))
    dW2 = dZ2 @ A1.T + lambd / m * p["W2"]
    db2 = np.sum(dZ2, axis=1, keepdims=True)
    dA1 = p["W2"].T @ dZ2
    dZ1 = np.multiply(dA1, np.int64(A1 > 0))
    dW1 = dZ1 @ X.T + lambd / m * p["W1"]
    db1 = np.sum(dZ1, axis=1, keepdims=True)
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2, "dW3": dW3, "db3": db3}


def problem():
    rng = np.random.default_rng(4)
    data = {"X": rng.standard_normal((3, 6)), "Y": (rng.random((2, 6)) > 0.5) * 1.0, "lambd": 0.7}
    sizes = [3, 4, 3, 2]
    parameters = {}
    for l in range(1, 4):
        parameters[f"W{l}"] = rng.standard_normal((sizes[l], sizes[l - 1]))
        parameters[f"b{l}"] = rng.random((sizes[l], 1))
    return Problem(forward, backward, parameters, data=data)
