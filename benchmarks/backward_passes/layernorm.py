"""Layer normalization over the last axis of a batch of sequences."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("layernorm_backward",)


def layernorm_forward(x, w, b):
    B, T, C = x.shape
    mean = x.sum(-1, keepdims=True) / C
    xshift = x - mean
    var = (xshift**2).sum(-1, keepdims=True) / C
    rstd = (var + 1e-5) ** -0.5
    norm = xshift * rstd
    out = norm * w + b
    return out, (x, w, mean, rstd)


def layernorm_backward(dout, cache):
    x, w, mean, rstd = cache
    norm = (x - mean) * rstd
    db = dout.sum((0, 1))
    dw = (dout * norm).sum((0, 1))
    dnorm = dout * w
    dx = dnorm - dnorm.mean(-1, keepdims=True) - norm * (dnorm * norm).mean(-1, keepdims=True)
    dx *= rstd
    return dx, dw, db


def problem():
    rng = np.random.default_rng(12)
    return Problem.layer(
        layernorm_forward,
        layernorm_backward,
        rng.standard_normal((2, 3, 4)),
        rng.standard_normal(4),
        rng.standard_normal(4),
    )
