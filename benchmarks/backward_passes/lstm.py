"""An LSTM with its four gates in one matrix."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("backward",)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(params, xs, target):
    W, b, V = params["W"], params["b"], params["V"]
    H = V.shape[1]
    h, c = np.zeros(H), np.zeros(H)
    steps = []
    for x in xs:
        z = np.concatenate([h, x])
        gates = W @ z + b
        i = sigmoid(gates[:H])
        f = sigmoid(gates[H : 2 * H])
        o = sigmoid(gates[2 * H : 3 * H])
        g = np.tanh(gates[3 * H :])
        c_prev = c
        c = f * c_prev + i * g
        tanh_c = np.tanh(c)
        h = o * tanh_c
        steps.append((z, i, f, o, g, c_prev, tanh_c))
    out = V @ h
    return 0.5 * np.sum((out - target) ** 2), (params, steps, h, out)


def backward(cache, target):
    params, steps, h, out = cache
    W, V = params["W"], params["V"]
    H = V.shape[1]
    dW, db = np.zeros_like(W), np.zeros_like(params["b"])
    dout = out - target
    dV = np.outer(dout, h)
    dh = V.T @ dout
    dc = np.zeros(H)
    for z, i, f, o, g, c_prev, tanh_c in reversed(steps):
        do = dh * tanh_c
        dc = dc + dh * o * (1 - tanh_c**2)
        di = dc * g
        dg = dc * i
        df = dc * c_prev
        dgates = np.concatenate(
            [di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)]
        )
        dW += np.outer(dgates, z)
        db += dgates
        dz = W.T @ dgates
        dh = dz[:H]
        dc = dc * f
    return {"W": dW, "b": db, "V": dV}


def problem():
    rng = np.random.default_rng(18)
    params = {
        "W": rng.standard_normal((12, 5)) * 0.7,
        "b": rng.standard_normal(12),
        "V": rng.standard_normal((2, 3)),
    }
    data = {"xs": rng.standard_normal((4, 2)), "target": rng.standard_normal(2)}
    return Problem(forward, backward, params, data=data)
