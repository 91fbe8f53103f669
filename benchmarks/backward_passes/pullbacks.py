"""Functions that return their pullbacks, composed."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("linear.pullback", "swish.pullback", "normalize.pullback", "model.pullback")


def linear(x, W):
    out = x @ W

    def pullback(ct):
        x_bar = ct @ W.T
        W_bar = x.T @ ct
        return x_bar, W_bar

    return out, pullback


def swish(x):
    s = 1 / (1 + np.exp(-x))
    y = x * s

    def pullback(ct):
        slope = s + y * (1 - s)
        return ct * slope

    return y, pullback


def normalize(x):
    norm = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    unit = x / norm

    def pullback(ct):
        along = np.sum(ct * unit, axis=-1, keepdims=True)
        x_bar = (ct - along * unit) / norm
        return x_bar

    return unit, pullback


def model(x, W1, W2):
    h, back1 = linear(x, W1)
    a, back_a = swish(h)
    u, back_u = normalize(a)
    out, back2 = linear(u, W2)

    def pullback(ct):
        u_bar, W2_bar = back2(ct)
        a_bar = back_u(u_bar)
        h_bar = back_a(a_bar)
        x_bar, W1_bar = back1(h_bar)
        return x_bar, W1_bar, W2_bar

    return out, pullback


def problem():
    rng = np.random.default_rng(34)
    return Problem.vjp(
        model, rng.standard_normal((4, 3)), rng.standard_normal((3, 5)), rng.standard_normal((5, 2))
    )
