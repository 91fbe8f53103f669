"""Affine coupling layers of a normalizing flow, and the likelihood under them."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("nll_grad",)


def transform(layers, x):
    cache, logdet = [], 0.0
    for layer in layers:
        left, right = x[:, :2], x[:, 2:]
        hidden = np.tanh(left @ layer["A"] + layer["a"])
        s = np.tanh(hidden @ layer["S"])
        t = hidden @ layer["T"]
        moved = right * np.exp(s) + t
        logdet = logdet + s.sum()
        cache.append((left, right, hidden, s))
        x = np.concatenate([moved, left], axis=1)
    return x, logdet, cache


def nll(layers, x):
    z, logdet, _ = transform(layers, x)
    return (0.5 * np.sum(z**2) - logdet) / len(x)


def nll_grad(layers, x):
    z, logdet, cache = transform(layers, x)
    n = len(x)
    grads = []
    dx = z / n
    for layer, (left, right, hidden, s) in zip(reversed(layers), reversed(cache)):
        dmoved, dleft = dx[:, :2], dx[:, 2:]
        dright = dmoved * np.exp(s)
        ds = dmoved * right * np.exp(s) - 1.0 / n
        dt = dmoved
        dpre_s = ds * (1 - s**2)
        dhidden = dpre_s @ layer["S"].T + dt @ layer["T"].T
        dpre = dhidden * (1 - hidden**2)
        dleft = dleft + dpre @ layer["A"].T
        grads.append(
            {"A": left.T @ dpre, "a": dpre.sum(0), "S": hidden.T @ dpre_s, "T": hidden.T @ dt}
        )
        dx = np.concatenate([dleft, dright], axis=1)
    return grads[::-1]


def problem():
    rng = np.random.default_rng(26)

    def layer():
        return {
            "A": rng.standard_normal((2, 3)),
            "a": rng.standard_normal(3),
            "S": rng.standard_normal((3, 2)) * 0.5,
            "T": rng.standard_normal((3, 2)),
        }

    return Problem(nll, nll_grad, [layer(), layer(), layer()], (rng.standard_normal((5, 4)),))
