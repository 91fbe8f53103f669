"""The multiclass max-margin loss by loops."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("svm_gradient",)


def svm_loss(W, X, y, reg):
    loss = 0.0
    for i in range(X.shape[0]):
        scores = X[i].dot(W)
        correct = scores[y[i]]
        for j in range(W.shape[1]):
            if j != y[i]:
                margin = scores[j] - correct + 1
                if margin > 0:
                    loss += margin
    return loss / X.shape[0] + reg * np.sum(W * W)


def svm_gradient(W, X, y, reg):
    dW = np.zeros(W.shape)
    num_train = X.shape[0]
    for i in range(num_train):
        scores = X[i].dot(W)
        correct = scores[y[i]]
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            if scores[j] - correct + 1 > 0:
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    dW /= num_train
    dW += 2 * reg * W
    return dW


def problem():
    rng = np.random.default_rng(8)
    X, y = rng.standard_normal((5, 4)), rng.integers(0, 3, 5)
    return Problem(svm_loss, svm_gradient, rng.standard_normal((4, 3)), (X, y, 0.1))
