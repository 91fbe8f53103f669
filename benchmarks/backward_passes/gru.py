"""A GRU unrolled over time, lists for what is kept."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("gru_gradient",)


def sigm(a):
    return 1.0 / (1.0 + np.exp(-a))


def run(p, X):
    h = [np.zeros(p["Uz"].shape[0])]
    z, r, n = [], [], []
    for x in X:
        z.append(sigm(p["Wz"] @ x + p["Uz"] @ h[-1] + p["bz"]))
        r.append(sigm(p["Wr"] @ x + p["Ur"] @ h[-1] + p["br"]))
        n.append(np.tanh(p["Wn"] @ x + p["Un"] @ (r[-1] * h[-1]) + p["bn"]))
        h.append((1 - z[-1]) * h[-1] + z[-1] * n[-1])
    return h, z, r, n


def gru_cost(p, X, y):
    h, z, r, n = run(p, X)
    return 0.5 * np.sum((h[-1] - y) ** 2)


def gru_gradient(p, X, y):
    h, z, r, n = run(p, X)
    grads = {k: np.zeros_like(v) for k, v in p.items()}
    dh = h[-1] - y
    for t in reversed(range(len(X))):
        dz = dh * (n[t] - h[t])
        dn = dh * z[t]
        dh_prev = dh * (1 - z[t])
        dan = dn * (1 - n[t] ** 2)
        grads["Wn"] += np.outer(dan, X[t])
        grads["Un"] += np.outer(dan, r[t] * h[t])
        grads["bn"] += dan
        drh = p["Un"].T @ dan
        dr = drh * h[t]
        dh_prev += drh * r[t]
        dar = dr * r[t] * (1 - r[t])
        grads["Wr"] += np.outer(dar, X[t])
        grads["Ur"] += np.outer(dar, h[t])
        grads["br"] += dar
        dh_prev += p["Ur"].T @ dar
        daz = dz * z[t] * (1 - z[t])
        grads["Wz"] += np.outer(daz, X[t])
        grads["Uz"] += np.outer(daz, h[t])
        grads["bz"] += daz
        dh_prev += p["Uz"].T @ daz
        dh = dh_prev
    return grads


def problem():
    rng = np.random.default_rng(19)
    p = {}
    for gate in "zrn":
        p["W" + gate] = rng.standard_normal((3, 2))
        p["U" + gate] = rng.standard_normal((3, 3)) * 0.7
        p["b" + gate] = rng.standard_normal(3)
    return Problem(gru_cost, gru_gradient, p, (rng.standard_normal((4, 2)), rng.standard_normal(3)))
