"""A bag of words: embedding, mean, hidden layer, softmax."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("bag_backward",)


def bag_forward(params, words, labels):
    E, W, U = params["E"], params["W"], params["U"]
    vectors = E[words]
    bag = vectors.mean(axis=1)
    pre = bag @ W
    hidden = np.tanh(pre)
    logits = hidden @ U
    logits = logits - logits.max(axis=1, keepdims=True)
    prob = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    nll = -np.log(prob[np.arange(len(labels)), labels]).mean()
    return nll, dict(params=params, bag=bag, hidden=hidden, prob=prob)


def bag_backward(cache, words, labels):
    E, W, U = (cache["params"][k] for k in "EWU")
    n, length = words.shape
    grad_logits = cache["prob"].copy()
    grad_logits[np.arange(n), labels] -= 1.0
    grad_logits /= n
    grad_U = cache["hidden"].T @ grad_logits
    grad_hidden = grad_logits @ U.T
    grad_pre = grad_hidden * (1.0 - cache["hidden"] ** 2)
    grad_W = cache["bag"].T @ grad_pre
    grad_bag = grad_pre @ W.T
    grad_vectors = np.repeat(grad_bag[:, None, :], length, axis=1) / length
    grad_E = np.zeros_like(E)
    np.add.at(grad_E, words, grad_vectors)
    return {"E": grad_E, "W": grad_W, "U": grad_U}


def problem():
    rng = np.random.default_rng(22)
    params = {
        "E": rng.standard_normal((6, 3)),
        "W": rng.standard_normal((3, 4)),
        "U": rng.standard_normal((4, 3)),
    }
    data = {"words": rng.integers(0, 6, (5, 4)), "labels": rng.integers(0, 3, 5)}
    return Problem(bag_forward, bag_backward, params, data=data)
