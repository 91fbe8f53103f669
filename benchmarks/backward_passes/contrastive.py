"""A siamese net with cosine similarity and a temperature."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("info_nce_backward", "normalize_backward")


def normalize_forward(v):
    length = np.linalg.norm(v, axis=1, keepdims=True)
    return v / length, length


def normalize_backward(dn, n, length):
    radial = np.sum(dn * n, axis=1, keepdims=True)
    dv = (dn - n * radial) / length
    return dv


def info_nce(params, A, B):
    W, tau = params["W"], params["tau"]
    va, vb = A @ W, B @ W
    na, la = normalize_forward(va)
    nb, lb = normalize_forward(vb)
    sim = na @ nb.T
    logits = sim / tau
    logp = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    loss = -np.mean(np.diag(logp))
    return loss, (W, tau, na, la, nb, lb, sim, logp)


def info_nce_backward(cache, A, B):
    W, tau, na, la, nb, lb, sim, logp = cache
    n = len(A)
    dlogits = (np.exp(logp) - np.eye(n)) / n
    dsim = dlogits / tau
    dtau = -np.sum(dlogits * sim) / tau**2
    dna = dsim @ nb
    dnb = dsim.T @ na
    dva = normalize_backward(dna, na, la)
    dvb = normalize_backward(dnb, nb, lb)
    dW = A.T @ dva
    dW += B.T @ dvb
    return {"W": dW, "tau": dtau}


def problem():
    rng = np.random.default_rng(42)
    params = {"W": rng.standard_normal((4, 3)), "tau": 0.5}
    data = {"A": rng.standard_normal((5, 4)), "B": rng.standard_normal((5, 4))}
    return Problem(info_nce, info_nce_backward, params, data=data)
