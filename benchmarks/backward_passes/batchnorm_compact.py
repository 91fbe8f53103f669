"""Batch normalization by the formula of its paper, in few lines."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("bn_backward",)


def bn_forward(x, gamma, beta):
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + 1e-4)
    x_hat = (x - mean) / std
    out = gamma * x_hat + beta
    return out, (x, x_hat, mean, std, gamma)


def bn_backward(dout, cache):
    x, x_hat, mean, std, gamma = cache
    m = x.shape[0]
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * (x - mean), axis=0) * -0.5 * std**-3
    dmean = -np.sum(dx_hat / std, axis=0) + dvar * np.mean(-2.0 * (x - mean), axis=0)
    dx = dx_hat / std + dvar * 2.0 * (x - mean) / m + dmean / m
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = dout.sum(axis=0)
    return dx, dgamma, dbeta


def problem():
    rng = np.random.default_rng(11)
    x = rng.standard_normal((6, 3)) + 2
    return Problem.layer(bn_forward, bn_backward, x, rng.random(3) + 0.5, rng.standard_normal(3))
