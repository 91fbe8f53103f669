"""Multinomial regression for an optimizer that wants value and gradient at once."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("objective",)


def objective(w, X, Y, alpha):
    n, d = X.shape
    k = Y.shape[1]
    coef = w.reshape(k, d + 1)
    raw = X @ coef[:, :-1].T + coef[:, -1]
    top = raw.max(axis=1)
    logsumexp = top + np.log(np.exp(raw - top[:, None]).sum(axis=1))
    logp = raw - logsumexp[:, None]
    loss = -np.sum(Y * logp) / n + 0.5 * alpha * np.sum(coef[:, :-1] ** 2)
    # backward
    pointwise = (np.exp(logp) - Y) / n
    grad = np.empty_like(coef)
    grad[:, :-1] = pointwise.T @ X + alpha * coef[:, :-1]
    grad[:, -1] = pointwise.sum(axis=0)
    return loss, grad.ravel()


def problem():
    rng = np.random.default_rng(33)
    X, Y = rng.standard_normal((6, 3)), np.eye(3)[rng.integers(0, 3, 6)]
    return Problem(objective, True, rng.standard_normal(12), (X, Y, 0.3))
