"""A flat theta and closures over the data, as handed to an optimizer."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("make.gradient",)


def make(X, y, hidden, penalty):
    n, d = X.shape

    def unpack(theta):
        W = theta[: d * hidden].reshape(d, hidden)
        c = theta[d * hidden : d * hidden + hidden]
        v = theta[d * hidden + hidden :]
        return W, c, v

    def value(theta):
        W, c, v = unpack(theta)
        u = X @ W + c
        s = np.log1p(np.exp(u))
        f = s @ v
        r = f - y
        return 0.5 * r @ r / n + 0.5 * penalty * theta @ theta

    def gradient(theta):
        W, c, v = unpack(theta)
        u = X @ W + c
        s = np.log1p(np.exp(u))
        r = s @ v - y
        df = r / n
        gv = s.T @ df
        ds = np.outer(df, v)
        du = ds / (1 + np.exp(-u))
        gc = du.sum(axis=0)
        gW = X.T @ du
        g = np.concatenate([gW.ravel(), gc, gv])
        g += penalty * theta
        return g

    return value, gradient


def problem():
    rng = np.random.default_rng(29)
    value, gradient = make(rng.standard_normal((7, 3)), rng.standard_normal(7), 4, 0.02)
    return Problem(value, gradient, rng.standard_normal(3 * 4 + 4 + 4))
