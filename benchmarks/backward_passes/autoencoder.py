"""A sparse autoencoder with tied parts of one flat vector."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("sparseAutoencoderGrad",)
VISIBLE, HIDDEN = 4, 3
LAMBDA, RHO, BETA = 0.01, 0.1, 0.5


def unpack(theta):
    hv = HIDDEN * VISIBLE
    W1 = theta[:hv].reshape(HIDDEN, VISIBLE)
    W2 = theta[hv : 2 * hv].reshape(VISIBLE, HIDDEN)
    b1 = theta[2 * hv : 2 * hv + HIDDEN]
    b2 = theta[2 * hv + HIDDEN :]
    return W1, W2, b1, b2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sparseAutoencoderCost(theta, data):
    W1, W2, b1, b2 = unpack(theta)
    m = data.shape[1]
    a2 = sigmoid(W1 @ data + b1[:, None])
    a3 = sigmoid(W2 @ a2 + b2[:, None])
    rho_hat = a2.mean(axis=1)
    kl = RHO * np.log(RHO / rho_hat) + (1 - RHO) * np.log((1 - RHO) / (1 - rho_hat))
    decay = LAMBDA / 2 * (np.sum(W1**2) + np.sum(W2**2))
    return 0.5 / m * np.sum((a3 - data) ** 2) + decay + BETA * kl.sum()


def sparseAutoencoderGrad(theta, data):
    W1, W2, b1, b2 = unpack(theta)
    m = data.shape[1]
    a2 = sigmoid(W1 @ data + b1[:, None])
    a3 = sigmoid(W2 @ a2 + b2[:, None])
    rho_hat = a2.mean(axis=1)
    delta3 = (a3 - data) * a3 * (1 - a3)
    sparsity = BETA * (-RHO / rho_hat + (1 - RHO) / (1 - rho_hat))
    delta2 = (W2.T @ delta3 + sparsity[:, None]) * a2 * (1 - a2)
    W2grad = delta3 @ a2.T / m + LAMBDA * W2
    b2grad = delta3.sum(axis=1) / m
    W1grad = delta2 @ data.T / m + LAMBDA * W1
    b1grad = delta2.sum(axis=1) / m
    return np.concatenate([W1grad.ravel(), W2grad.ravel(), b1grad, b2grad])


def problem():
    rng = np.random.default_rng(24)
    theta = rng.standard_normal(2 * HIDDEN * VISIBLE + HIDDEN + VISIBLE)
    return Problem(sparseAutoencoderCost, sparseAutoencoderGrad, theta, (rng.random((VISIBLE, 6)),))
