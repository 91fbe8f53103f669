"""A deep residual net: a list of blocks, skip connections, minibatch squared error."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("backward",)


def forward(blocks, x, y):
    h = x
    tape = []
    for block in blocks:
        u = h @ block["W"] + block["c"]
        r = np.tanh(u)
        o = r @ block["V"]
        tape.append((h, u, r))
        h = h + o
    loss = np.mean((h - y) ** 2)
    return loss, (blocks, tape, h)


def backward(cache, x, y):
    blocks, tape, h = cache
    grads = [None] * len(blocks)
    dh = 2 * (h - y) / h.size
    for i in range(len(blocks) - 1, -1, -1):
        block = blocks[i]
        h_in, u, r = tape[i]
        do = dh
        dV = r.T @ do
        dr = do @ block["V"].T
        du = dr * (1 - np.tanh(u) ** 2)
        dW = h_in.T @ du
        dc = du.sum(axis=0)
        dh = dh + du @ block["W"].T
        grads[i] = {"W": dW, "c": dc, "V": dV}
    return grads


def problem():
    rng = np.random.default_rng(41)
    blocks = [
        {
            "W": rng.standard_normal((3, 4)),
            "c": rng.standard_normal(4),
            "V": rng.standard_normal((4, 3)),
        }
        for _ in range(3)
    ]
    data = {"x": rng.standard_normal((5, 3)), "y": rng.standard_normal((5, 3))}
    return Problem(forward, backward, blocks, data=data)
