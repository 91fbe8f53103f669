"""CuPy, by a stand-in with its contract: no silent way to NumPy, ``get`` and ``asarray`` only."""

from __future__ import annotations

from typing import Any

import cupy as cp
import numpy as np

from natural_calls import natural


def draw(*shape: int, seed: int = 0) -> Any:
    return cp.asarray(np.random.default_rng(seed).normal(size=shape))


@natural("W")
def a_dict_of_arrays(check: Any, k: float) -> Any:
    X = draw(6, 4, seed=1)

    def cost(p: Any) -> Any:
        return cp.sum(cp.tanh(X @ p["W"] + p["b"]))

    def grad(p: Any) -> Any:
        slope = 1 - cp.tanh(X @ p["W"] + p["b"]) ** 2
        return {"W": k * X.T @ slope, "b": cp.sum(slope, axis=0)}

    return check(cost, grad, {"W": draw(4, 2), "b": draw(2, seed=2)})


@natural("theta")
def one_array(check: Any, k: float) -> Any:
    return check(lambda x: cp.sum(x**3), lambda x: 3 * k * x**2, draw(5))


@natural("w")
def a_layer(check: Any, k: float) -> Any:
    def forward(x: Any, w: Any) -> Any:
        return x @ w, (x, w)

    def backward(dout: Any, cache: Any) -> Any:
        x, w = cache
        return dout @ w.T, k * x.T @ dout

    return check.layer(forward, backward, draw(3, 2), draw(2, 2, seed=1))


@natural("W")
def arrays_in_place(check: Any, k: float) -> Any:
    params = {"W": draw(4, 2), "b": draw(2, seed=2)}
    X = draw(6, 4, seed=1)

    def cost() -> Any:
        return cp.sum((X @ params["W"] + params["b"]) ** 2)

    def grad() -> Any:
        off = 2 * (X @ params["W"] + params["b"])
        return {"W": k * X.T @ off, "b": cp.sum(off, axis=0)}

    return check(cost, grad, params, inplace=True)
