"""A two-layer net whose loss method returns loss and gradients at once."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("TwoLayerNet.loss",)


class TwoLayerNet:
    def __init__(self, rng, n_in, n_hidden, n_out):
        self.params = {}
        self.params["W1"] = rng.standard_normal((n_in, n_hidden))
        self.params["b1"] = rng.standard_normal(n_hidden)
        self.params["W2"] = rng.standard_normal((n_hidden, n_out))
        self.params["b2"] = rng.standard_normal(n_out)

    def loss(self, X, y, reg=0.1):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N, D = X.shape
        z1 = X.dot(W1) + b1
        h1 = np.maximum(0, z1)
        scores = h1.dot(W2) + b2
        exp_scores = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
        data_loss = -np.mean(np.log(probs[range(N), y]))
        loss = data_loss + reg * np.sum(W1 * W1) + reg * np.sum(W2 * W2)
        # backward
        grads = {}
        dscores = probs.copy()
        dscores[range(N), y] -= 1
        dscores /= N
        grads["W2"] = h1.T.dot(dscores) + 2 * reg * W2
        grads["b2"] = np.sum(dscores, axis=0)
        dhidden = np.dot(dscores, W2.T)
        dhidden[h1 <= 0] = 0
        grads["W1"] = np.dot(X.T, dhidden) + 2 * reg * W1
        grads["b1"] = np.sum(dhidden, axis=0)
        return loss, grads


def problem():
    rng = np.random.default_rng(6)
    net = TwoLayerNet(rng, 4, 5, 3)
    X, y = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
    return Problem(lambda: net.loss(X, y), True, net.params, settings={"inplace": True})
