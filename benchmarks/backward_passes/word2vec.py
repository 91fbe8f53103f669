"""Skip-gram with negative sampling, a word at a time."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("skipgram_grad", "neg_sampling_grad")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def skipgram_loss(params, center, outside, negatives):
    v = params["center"][center]
    loss = 0.0
    for o, ks in zip(outside, negatives):
        u = params["outside"][o]
        loss += -np.log(sigmoid(u @ v))
        for k in ks:
            loss += -np.log(sigmoid(-params["outside"][k] @ v))
    return loss


def neg_sampling_grad(v, o, ks, U):
    grad_U = np.zeros(U.shape)
    z = sigmoid(U[o] @ v)
    grad_v = (z - 1) * U[o]
    grad_U[o] += (z - 1) * v
    for k in ks:
        z_k = sigmoid(U[k] @ v)
        grad_v = grad_v + z_k * U[k]
        grad_U[k] += z_k * v
    return grad_v, grad_U


def skipgram_grad(params, center, outside, negatives):
    grad_center = np.zeros_like(params["center"])
    grad_outside = np.zeros_like(params["outside"])
    v = params["center"][center]
    for o, ks in zip(outside, negatives):
        gv, gU = neg_sampling_grad(v, o, ks, params["outside"])
        grad_center[center] += gv
        grad_outside += gU
    return {"center": grad_center, "outside": grad_outside}


def problem():
    rng = np.random.default_rng(37)
    params = {"center": rng.standard_normal((5, 3)), "outside": rng.standard_normal((5, 3))}
    return Problem(skipgram_loss, skipgram_grad, params, (2, [1, 4], [[0, 3], [2, 3]]))
