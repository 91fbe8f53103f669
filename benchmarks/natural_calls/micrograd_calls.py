"""micrograd: scalars that remember where they come from."""

from __future__ import annotations

from typing import Any

from micrograd.engine import Value
from micrograd.nn import MLP

from natural_calls import natural


def tanh(x: Any, k: float) -> Any:
    import math

    out = Value(math.tanh(x.data), (x,), "tanh")

    def _backward() -> None:
        x.grad += k * (1 - out.data**2) * out.grad

    out._backward = _backward
    return out


@natural("b")
def two_values(check: Any, k: float) -> Any:
    return check.autograd(lambda a, b: a * tanh(b, k) + b**2, Value(0.7), Value(-0.4))


@natural("[0]")
def a_list_of_values(check: Any, k: float) -> Any:
    def cost(w: Any) -> Any:
        return tanh(w[0] * 0.5 + w[1] * -1.5 + w[2], 1.0) + w[1] ** 2 + w[2]

    def grad(w: Any) -> Any:
        cost(w).backward()
        return [k * w[0].grad, w[1].grad, w[2].grad]

    return check(cost, grad, [Value(0.3), Value(0.2), Value(-0.1)])


@natural("w[1]")
def one_list_as_an_input(check: Any, k: float) -> Any:
    def loss(w: Any) -> Any:
        return w[0] * 2.0 + tanh(w[1], k) * w[0]

    return check.autograd(loss, [Value(0.3), Value(0.2)])


@natural("layers[1].neurons[0].b")
def its_network(check: Any, k: float) -> Any:
    import random

    random.seed(3)
    net = MLP(2, [3, 1])

    def loss() -> Any:
        return (net([0.5, -1.0]) - 0.8) ** 2

    def grad() -> Any:
        net.zero_grad()
        loss().backward()
        net.layers[1].neurons[0].b.grad *= k

    return check(loss, grad, net, inplace=True)
