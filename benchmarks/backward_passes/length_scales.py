"""A kernel machine with a length scale for each feature, as a logarithm."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("gradient",)


def kernel(log_scales, X):
    scaled = X / np.exp(log_scales)
    apart = scaled[:, None, :] - scaled[None, :, :]
    return np.exp(-0.5 * np.sum(apart**2, axis=-1))


def loss(log_scales, X, y, weights):
    residual = kernel(log_scales, X) @ weights - y
    return 0.5 * np.mean(residual**2)


def gradient(log_scales, X, y, weights):
    K = kernel(log_scales, X)
    residual = K @ weights - y
    dK = np.outer(residual, weights) / len(y)
    squares = (X[:, None, :] - X[None, :, :]) ** 2
    dscale = np.einsum("ij,ij,ijk->k", dK, K, squares) / np.exp(log_scales) ** 3
    return dscale * np.exp(log_scales)


def problem():
    rng = np.random.default_rng(51)
    X, y = rng.standard_normal((7, 5)), rng.standard_normal(7)
    weights = rng.standard_normal(7)
    return Problem(loss, gradient, rng.standard_normal(5) * 0.4, (X, y, weights))
