"""Two modular layers and a softmax loss, composed by hand."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("affine_backward", "relu_backward", "net_backward", "softmax_loss")


def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward(dout, cache):
    x = cache
    dx = dout * (x > 0)
    return dx


def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    # backward
    dx = np.exp(log_probs)
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx


def net_forward(params, X, y):
    h, fc1 = affine_forward(X, params["W1"], params["b1"])
    a, act = relu_forward(h)
    scores, fc2 = affine_forward(a, params["W2"], params["b2"])
    loss, dscores = softmax_loss(scores, y)
    return loss, (fc1, act, fc2, dscores)


def net_backward(cache):
    fc1, act, fc2, dscores = cache
    grads = {}
    da, grads["W2"], grads["b2"] = affine_backward(dscores, fc2)
    dh = relu_backward(da, act)
    dx, grads["W1"], grads["b1"] = affine_backward(dh, fc1)
    return grads


def problem():
    rng = np.random.default_rng(5)
    params = {
        "W1": rng.standard_normal((6, 5)),
        "b1": rng.standard_normal(5),
        "W2": rng.standard_normal((5, 3)),
        "b2": rng.standard_normal(3),
    }
    data = {"X": rng.standard_normal((7, 2, 3)), "y": rng.integers(0, 3, 7)}
    return Problem(net_forward, net_backward, params, data=data)
