"""A linear-chain conditional random field, by marginals."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("crf_gradient",)


def logsumexp(a, axis):
    top = a.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(a - top).sum(axis=axis))


def crf_nll(params, X, tags):
    emit = X @ params["W"]
    trans = params["T"]
    alpha = emit[0]
    for t in range(1, len(X)):
        alpha = emit[t] + logsumexp(alpha[:, None] + trans, 0)
    gold = emit[np.arange(len(tags)), tags].sum() + trans[tags[:-1], tags[1:]].sum()
    return logsumexp(alpha, 0) - gold


def crf_gradient(params, X, tags):
    emit = X @ params["W"]
    trans = params["T"]
    n, k = emit.shape
    alpha = np.zeros((n, k))
    beta = np.zeros((n, k))
    alpha[0] = emit[0]
    for t in range(1, n):
        alpha[t] = emit[t] + logsumexp(alpha[t - 1][:, None] + trans, 0)
    for t in range(n - 2, -1, -1):
        beta[t] = logsumexp(trans + emit[t + 1] + beta[t + 1], 1)
    log_z = logsumexp(alpha[-1], 0)
    d_emit = np.exp(alpha + beta - log_z)
    d_trans = np.zeros_like(trans)
    for t in range(1, n):
        pair = alpha[t - 1][:, None] + trans + emit[t] + beta[t]
        d_trans += np.exp(pair - log_z)
    d_emit[np.arange(n), tags] -= 1
    np.subtract.at(d_trans, (tags[:-1], tags[1:]), 1)
    d_W = X.T @ d_emit
    return {"W": d_W, "T": d_trans}


def problem():
    rng = np.random.default_rng(39)
    params = {"W": rng.standard_normal((3, 3)), "T": rng.standard_normal((3, 3))}
    return Problem(
        crf_nll, crf_gradient, params, (rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0]))
    )
