"""An ordinal logit with cut points as cumulated exponentials."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("ordinal_score",)


def logistic(t):
    return 1 / (1 + np.exp(-t))


def parts(params, X, y):
    eta = X @ params["beta"]
    gaps = np.exp(params["gaps"])
    cuts = params["start"] + np.concatenate([[0.0], np.cumsum(gaps)])
    upper = np.append(cuts, 50.0)[y] - eta
    lower = np.insert(cuts, 0, -50.0)[y] - eta
    p = logistic(upper) - logistic(lower)
    return gaps, cuts, upper, lower, p


def ordinal_nll(params, X, y):
    gaps, cuts, upper, lower, p = parts(params, X, y)
    return -np.sum(np.log(p))


def ordinal_score(params, X, y):
    gaps, cuts, upper, lower, p = parts(params, X, y)
    dp = -1 / p
    dupper = dp * logistic(upper) * (1 - logistic(upper))
    dlower = -dp * logistic(lower) * (1 - logistic(lower))
    deta = -dupper - dlower
    dbeta = X.T @ deta
    dcuts = np.zeros(len(cuts) + 2)
    np.add.at(dcuts, y + 1, dupper)
    np.add.at(dcuts, y, dlower)
    dcuts = dcuts[1:-1]
    dstart = dcuts.sum()
    dgaps = np.cumsum(dcuts[::-1])[::-1][1:]
    dlog_gaps = dgaps * gaps
    return {"beta": dbeta, "start": dstart, "gaps": dlog_gaps}


def problem():
    rng = np.random.default_rng(32)
    X = rng.standard_normal((10, 3))
    y = np.array([0, 1, 2, 3, 0, 1, 2, 3, 1, 2])
    params = {"beta": rng.standard_normal(3), "start": -1.0, "gaps": np.array([0.1, -0.2])}
    return Problem(ordinal_nll, ordinal_score, params, (X, y))
