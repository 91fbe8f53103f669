"""One head of scaled dot-product attention with a causal mask."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("attention_backward",)


def attention_forward(x, Wq, Wk, Wv, Wo):
    T, C = x.shape
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    scores = q @ k.T / np.sqrt(k.shape[1])
    scores = np.where(np.tril(np.ones((T, T))) > 0, scores, -1e9)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    att = e / e.sum(axis=1, keepdims=True)
    y = att @ v
    out = y @ Wo
    return out, (x, Wq, Wk, Wv, Wo, q, k, v, att, y)


def attention_backward(dout, cache):
    x, Wq, Wk, Wv, Wo, q, k, v, att, y = cache
    dy = dout @ Wo.T
    dWo = y.T @ dout
    datt = dy @ v.T
    dv = att.T @ dy
    dscores = att * (datt - np.sum(datt * att, axis=1, keepdims=True))
    dscores = dscores / np.sqrt(k.shape[1])
    dq = dscores @ k
    dk = dscores.T @ q
    dWq = x.T @ dq
    dWk = x.T @ dk
    dWv = x.T @ dv
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    return dx, dWq, dWk, dWv, dWo


def problem():
    rng = np.random.default_rng(20)
    weights = [rng.standard_normal((3, 3)) for _ in range(3)]
    return Problem.layer(
        attention_forward,
        attention_backward,
        rng.standard_normal((4, 3)),
        *weights,
        rng.standard_normal((3, 3)),
    )
