"""A two-layer classifier with its parameters, cache and gradients in dicts."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("backward_propagation",)


def forward_propagation(X, Y, parameters):
    m = Y.shape[1]
    Z1 = np.dot(parameters["W1"], X) + parameters["b1"]
    A1 = np.tanh(Z1)
    Z2 = np.dot(parameters["W2"], A1) + parameters["b2"]
    A2 = 1 / (1 + np.exp(-Z2))
    logprobs = Y * np.log(A2) + (1 - Y) * np.log(1 - A2)
    cost = -np.sum(logprobs) / m
    cache = {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2, "W2": parameters["W2"]}
    return cost, cache


def backward_propagation(X, Y, cache):
    m = X.shape[1]
    A1, A2 = cache["A1"], cache["A2"]
    W2 = cache["W2"]

    dZ2 = A2 - Y
    dW2 = 1.0 / m * np.dot(dZ2, A1.T)
    db2 = 1.0 / m * np.sum(dZ2, axis=1, keepdims=True)
    dZ1 = np.dot(W2.T, dZ2) * (1 - np.power(A1, 2))
    dW1 = 1.0 / m * np.dot(dZ1, X.T)
    db1 = 1.0 / m * np.sum(dZ1, axis=1, keepdims=True)

    gradients = {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
    return gradients


def problem():
    rng = np.random.default_rng(1)
    data = {"X": rng.standard_normal((3, 6)), "Y": (rng.random((1, 6)) > 0.5) * 1.0}
    parameters = {
        "W1": rng.standard_normal((4, 3)),
        "b1": rng.standard_normal((4, 1)),
        "W2": rng.standard_normal((1, 4)),
        "b2": rng.standard_normal((1, 1)),
    }
    return Problem(forward_propagation, backward_propagation, parameters, data=data)
