"""Matrix factorization with biases, over the ratings that are known."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("cofi_gradient",)


def cofi_cost(params, Y, R, reg):
    U, V, bu, bv = params["U"], params["V"], params["bu"], params["bv"]
    P = U @ V.T + bu[:, None] + bv[None, :]
    E = (P - Y) * R
    return 0.5 * np.sum(E**2) + 0.5 * reg * (np.sum(U**2) + np.sum(V**2))


def cofi_gradient(params, Y, R, reg):
    U, V, bu, bv = params["U"], params["V"], params["bu"], params["bv"]
    P = U @ V.T + bu[:, None] + bv[None, :]
    E = (P - Y) * R
    U_grad = E @ V + reg * U
    V_grad = E.T @ U + reg * V
    bu_grad = E.sum(axis=1)
    bv_grad = E.sum(axis=0)
    return {"U": U_grad, "V": V_grad, "bu": bu_grad, "bv": bv_grad}


def problem():
    rng = np.random.default_rng(38)
    params = {
        "U": rng.standard_normal((4, 2)),
        "V": rng.standard_normal((5, 2)),
        "bu": rng.standard_normal(4),
        "bv": rng.standard_normal(5),
    }
    Y, R = rng.standard_normal((4, 5)), (rng.random((4, 5)) > 0.3) * 1.0
    return Problem(cofi_cost, cofi_gradient, params, (Y, R, 0.2))
