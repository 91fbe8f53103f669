"""A character RNN in one function, with dicts over time steps."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("lossFun",)
VOCAB, HIDDEN = 4, 5


def lossFun(params, inputs, targets, hprev):
    Wxh, Whh, Why, bh, by = (params[k] for k in ("Wxh", "Whh", "Why", "bh", "by"))
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((VOCAB, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        ys[t] = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
        loss += -np.log(ps[t][targets[t], 0])
    # backward
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(Why.T, dy) + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dhraw)
    return loss, {"Wxh": dWxh, "Whh": dWhh, "Why": dWhy, "bh": dbh, "by": dby}


def problem():
    rng = np.random.default_rng(16)
    params = {
        "Wxh": rng.standard_normal((HIDDEN, VOCAB)) * 0.5,
        "Whh": rng.standard_normal((HIDDEN, HIDDEN)) * 0.5,
        "Why": rng.standard_normal((VOCAB, HIDDEN)) * 0.5,
        "bh": rng.standard_normal((HIDDEN, 1)),
        "by": rng.standard_normal((VOCAB, 1)),
    }
    hprev = rng.standard_normal((HIDDEN, 1))
    return Problem(lossFun, True, params, ([0, 2, 1, 3, 0], [2, 1, 3, 0, 1], hprev))
