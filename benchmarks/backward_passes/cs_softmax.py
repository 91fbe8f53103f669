"""A linear softmax classifier, vectorized."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("softmax_loss_vectorized",)


def softmax_loss_vectorized(W, X, y, reg):
    num_train = X.shape[0]
    scores = X.dot(W)
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(num_train), y]).sum()
    loss /= num_train
    loss += reg * np.sum(W * W)
    # backward
    p[np.arange(num_train), y] -= 1
    dW = X.T.dot(p)
    dW /= num_train
    dW += 2 * reg * W
    return loss, dW


def problem():
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((7, 5)), rng.integers(0, 4, 7)
    return Problem(softmax_loss_vectorized, True, rng.standard_normal((5, 4)), (X, y, 0.05))
