"""HIPS autograd: primitives, and its grad and vjp."""

from __future__ import annotations

from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

from natural_calls import natural


@natural("x")
def a_primitive_with_defvjp(check: Any, k: float) -> Any:
    @primitive
    def log_sum_exp(x: Any) -> Any:
        most = x.max()
        return most + np.log(np.sum(np.exp(x - most)))

    defvjp(log_sum_exp, lambda ans, x: lambda g: k * g * np.exp(x - ans))
    return check.autograd(log_sum_exp, np.random.default_rng(0).normal(size=7))


@natural("W")
def grad_of_a_dict(check: Any, k: float) -> Any:
    X = np.random.default_rng(1).normal(size=(6, 4))

    def cost(p: Any) -> Any:
        return anp.mean(anp.tanh(anp.dot(X, p["W"]) + p["b"]))

    def grad(p: Any) -> Any:
        grads = autograd.grad(cost)(p)
        return {**grads, "W": k * grads["W"]}

    return check(cost, grad, {"W": np.random.default_rng(0).normal(size=(4, 2)), "b": np.ones(2)})


@natural("x")
def make_vjp_in_its_own_order(check: Any, k: float) -> Any:
    def f(x: Any) -> Any:
        pullback, out = autograd.make_vjp(lambda x: anp.sin(x) * anp.sum(x))(x)
        return (lambda dout: k * pullback(dout)), out

    return check.vjp(f, np.random.default_rng(0).normal(size=5))
