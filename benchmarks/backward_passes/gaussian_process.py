"""The marginal likelihood of a Gaussian process and its gradient by hyperparameters."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("gp_gradient",)


def gp_nll(theta, X, y):
    length, signal, noise = np.exp(theta)
    D = np.sum((X[:, None, :] - X[None, :, :]) ** 2, axis=-1)
    E = np.exp(-0.5 * D / length**2)
    K = signal**2 * E + noise**2 * np.eye(len(y))
    sign, logdet = np.linalg.slogdet(K)
    alpha = np.linalg.solve(K, y)
    return 0.5 * y @ alpha + 0.5 * logdet


def gp_gradient(theta, X, y):
    length, signal, noise = np.exp(theta)
    D = np.sum((X[:, None, :] - X[None, :, :]) ** 2, axis=-1)
    E = np.exp(-0.5 * D / length**2)
    K = signal**2 * E + noise**2 * np.eye(len(y))
    inverse = np.linalg.inv(K)
    alpha = inverse @ y
    dK = 0.5 * (inverse - np.outer(alpha, alpha))
    dE = dK * signal**2
    dlength = np.sum(dE * E * D) / length**3
    dsignal = np.sum(dK * E) * 2 * signal
    dnoise = 2 * noise * np.trace(dK)
    return np.array([dlength * length, dsignal * signal, dnoise * noise])


def problem():
    rng = np.random.default_rng(31)
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    return Problem(gp_nll, gp_gradient, np.array([0.1, 0.3, -0.7]), (X, y))
