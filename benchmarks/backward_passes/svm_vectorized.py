"""The max-margin loss with a matrix of margins."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("svm_backward",)


def svm_cost(params, X, y):
    scores = X @ params["W"] + params["b"]
    correct = scores[np.arange(len(y)), y][:, None]
    margins = np.maximum(0, scores - correct + 1.0)
    margins[np.arange(len(y)), y] = 0
    return margins.sum() / len(y)


def svm_backward(params, X, y):
    n = len(y)
    scores = X @ params["W"] + params["b"]
    margins = scores - scores[np.arange(n), y][:, None] + 1.0
    indicator = (margins > 0).astype(float)
    indicator[np.arange(n), y] = 0
    count = indicator.sum(axis=1)
    dscores = indicator
    dscores[np.arange(n), y] = -count
    dscores /= n
    dW = X.T @ dscores
    db = dscores.sum(axis=0)
    return {"W": dW, "b": db}


def problem():
    rng = np.random.default_rng(9)
    X, y = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
    params = {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)}
    return Problem(svm_cost, svm_backward, params, (X, y))
