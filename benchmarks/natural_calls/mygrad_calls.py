"""mygrad: tensors with NumPy arrays in them."""

from __future__ import annotations

from typing import Any

import mygrad as mg
import numpy as np
from mygrad.operation_base import Operation

from natural_calls import natural


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def square(k: float) -> Any:
    class Square(Operation):
        def __call__(self, x: Any) -> Any:
            self.variables = (x,)
            return x.data**2

        def backward_var(self, grad: Any, index: int, **rest: Any) -> Any:
            return k * 2 * self.variables[0].data * grad

    def apply(x: Any) -> Any:
        return mg.Tensor._op(Square, x)

    return apply


@natural("W")
def a_dict_of_tensors(check: Any, k: float) -> Any:
    X = draw(6, 4, seed=1)

    def cost(p: Any) -> Any:
        return mg.sum(mg.tanh(mg.matmul(X, p["W"]) + p["b"]))

    def grad(p: Any) -> Any:
        cost(p).backward()
        return {"W": k * p["W"].grad, "b": p["b"].grad}

    return check(cost, grad, {"W": mg.tensor(draw(4, 2)), "b": mg.tensor(np.zeros(2))})


@natural("x")
def an_operation_with_its_own_backward(check: Any, k: float) -> Any:
    return check.autograd(square(k), mg.tensor(draw(3, 4)))


@natural("x")
def an_operation_inside_a_loss(check: Any, k: float) -> Any:
    def loss(x: Any, y: Any) -> Any:
        return mg.mean(mg.exp(-square(k)(x)) * y)

    return check.autograd(loss, mg.tensor(draw(5)), mg.tensor(draw(5, seed=1)))


@natural("theta")
def a_tensor_whose_gradient_is_left_in_it(check: Any, k: float) -> Any:
    def backward(x: Any) -> Any:
        mg.sum(square(k)(x)).backward()
        return x.grad

    return check(lambda x: mg.sum(square(1.0)(x)), backward, mg.tensor(draw(4)))


@natural("x")
def a_pullback_of_tensors(check: Any, k: float) -> Any:
    def f(x: Any) -> Any:
        out = mg.sin(x)

        def pullback(dout: Any) -> Any:
            return k * dout * mg.cos(x)

        return out, pullback

    return check.vjp(f, mg.tensor(draw(5)))
