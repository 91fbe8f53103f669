"""tinygrad: lazy tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from tinygrad import Tensor

from natural_calls import natural


def draw(*shape: int, seed: int = 0) -> Any:
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@natural("W")
def a_dict_of_tensors(check: Any, k: float) -> Any:
    X = draw(3, 2, seed=1)

    def cost(p: Any) -> Any:
        return (X.matmul(p["W"]) + p["b"]).tanh().sum()

    def grad(p: Any) -> Any:
        cost(p).backward()
        return {"W": k * p["W"].grad, "b": p["b"].grad}

    return check(cost, grad, {"W": draw(2, 2), "b": draw(2, seed=2)})


@natural("theta")
def a_gradient_by_hand(check: Any, k: float) -> Any:
    return check(lambda x: (x * x * x).sum(), lambda x: k * 3 * x * x, draw(4))


@natural("x")
def a_function_by_autograd(check: Any, k: float) -> Any:
    def f(x: Any) -> Any:
        exact = x.exp()
        return exact + (k - 1) * (exact - exact.detach())

    return check.autograd(f, draw(4))


@natural("w")
def a_layer_of_tensors(check: Any, k: float) -> Any:
    def forward(x: Any, w: Any) -> Any:
        return x.matmul(w), (x, w)

    def backward(dout: Any, cache: Any) -> Any:
        x, w = cache
        return dout.matmul(w.transpose()), k * x.transpose().matmul(dout)

    return check.layer(forward, backward, draw(3, 2), draw(2, 2, seed=1))
