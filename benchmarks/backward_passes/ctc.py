"""Connectionist temporal classification, by its forward and backward variables."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("ctc_grad",)


def softmax(a):
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def extended(labels):
    l = [0]
    for label in labels:
        l += [label, 0]
    return l


def alphas(y, l):
    T, S = len(y), len(l)
    alpha = np.zeros((T, S))
    alpha[0, 0] = y[0, l[0]]
    alpha[0, 1] = y[0, l[1]]
    for t in range(1, T):
        for s in range(S):
            a = alpha[t - 1, s]
            if s > 0:
                a = a + alpha[t - 1, s - 1]
            if s > 1 and l[s] != 0 and l[s] != l[s - 2]:
                a = a + alpha[t - 1, s - 2]
            alpha[t, s] = a * y[t, l[s]]
    return alpha


def ctc_cost(params, X, labels):
    y = softmax(X @ params["W"] + params["b"])
    alpha = alphas(y, extended(labels))
    likelihood = alpha[-1, -1] + alpha[-1, -2]
    return -np.log(likelihood)


def ctc_grad(params, X, labels):
    y = softmax(X @ params["W"] + params["b"])
    l = extended(labels)
    T, S = len(y), len(l)
    alpha = alphas(y, l)
    likelihood = alpha[-1, -1] + alpha[-1, -2]
    beta = np.zeros((T, S))
    beta[-1, -1] = 1.0
    beta[-1, -2] = 1.0
    for t in range(T - 2, -1, -1):
        for s in range(S):
            b = beta[t + 1, s] * y[t + 1, l[s]]
            if s < S - 1:
                b = b + beta[t + 1, s + 1] * y[t + 1, l[s + 1]]
            if s < S - 2 and l[s] != 0 and l[s] != l[s + 2]:
                b = b + beta[t + 1, s + 2] * y[t + 1, l[s + 2]]
            beta[t, s] = b
    gamma = alpha * beta / likelihood
    occupied = np.zeros_like(y)
    for s in range(S):
        occupied[:, l[s]] += gamma[:, s]
    dlogits = y - occupied
    return {"W": X.T @ dlogits, "b": dlogits.sum(axis=0)}


def problem():
    rng = np.random.default_rng(23)
    params = {"W": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)}
    return Problem(ctc_cost, ctc_grad, params, (rng.standard_normal((5, 3)), [1, 2]))
