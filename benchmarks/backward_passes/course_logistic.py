"""Logistic regression, weight and bias apart."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("gradients",)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def cost(params, X, y):
    m = X.shape[0]
    h = sigmoid(X @ params["w"] + params["b"])
    return -(y @ np.log(h) + (1 - y) @ np.log(1 - h)) / m


def gradients(params, X, y):
    m = len(y)
    h = sigmoid(X @ params["w"] + params["b"])
    error = h - y
    dw = X.T @ error / m
    db = np.mean(error)
    return {"dw": dw, "db": db}


def problem():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((8, 4)), (rng.random(8) > 0.5) * 1.0
    return Problem(cost, gradients, {"w": rng.standard_normal(4), "b": 0.3}, (X, y))
