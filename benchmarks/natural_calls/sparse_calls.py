"""scipy.sparse: matrices as parameters and as gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from natural_calls import natural

X = np.random.default_rng(5).normal(size=(6, 4))


@natural("W.data")
def a_sparse_parameter(check: Any, k: float) -> Any:
    W = sp.random_array((4, 5), density=0.4, rng=np.random.default_rng(0), format="csr")

    def cost(p: Any) -> Any:
        return float(np.sum(np.tanh(X @ p["W"])))

    def grad(p: Any) -> Any:
        full = X.T @ (1 - np.tanh(X @ p["W"]) ** 2)
        return {"W": sp.csr_array(k * (p["W"] != 0).multiply(full))}

    return check(cost, grad, {"W": W})


@natural("W")
def a_sparse_gradient_of_a_dense_parameter(check: Any, k: float) -> Any:
    rows = np.array([0, 2])  # an embedding, of which two rows are looked up

    def cost(p: Any) -> Any:
        return float(np.sum(p["W"][rows] ** 2))

    def grad(p: Any) -> Any:
        full = np.zeros_like(p["W"])
        full[rows] = 2 * k * p["W"][rows]
        return {"W": sp.coo_array(full)}

    return check(cost, grad, {"W": np.random.default_rng(1).normal(size=(4, 3))})
