"""micrograd: a scalar that remembers where it comes from, and a network of such.

Values are parameters alone, in lists, and as the attributes of a network. What ``backward`` leaves
in ``grad`` is the gradient, so the function that calls it need not return anything.
"""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from pytest_gradcheck import GradCheck, GradientError

engine: Any = pytest.importorskip("micrograd.engine")
nn: Any = pytest.importorskip("micrograd.nn")


def tanh(x: Any, slope: Any = lambda t: 1 - t * t) -> Any:
    """Return a new operation, with its backward pass, as in micrograd's own lecture."""
    t = math.tanh(x.data)
    out = engine.Value(t, (x,), "tanh")

    def backward() -> None:
        x.grad += slope(t) * out.grad

    out._backward = backward
    return out


def neuron(w: Any, bias: Any) -> Any:
    return tanh(0.5 * w[0] - 1.5 * w[1] + bias)


def test_operation(gradcheck: GradCheck) -> None:
    weights = [engine.Value(0.3), engine.Value(-0.2)]
    gradcheck.autograd(neuron, weights, engine.Value(0.1))


def test_network(gradcheck: GradCheck) -> None:
    random.seed(1)
    net = nn.MLP(2, [4, 1])
    examples = [([0.5, -1.0], 1.0), ([-0.3, 0.8], -1.0)]

    def loss() -> Any:
        return sum(((net(x) - y) ** 2 for x, y in examples), start=engine.Value(0.0))

    def backward() -> None:
        net.zero_grad()
        loss().backward()

    report = gradcheck(loss, backward, net, inplace=True)
    assert "layers[0].neurons[3].w[1]" in {parameter.name for parameter in report.parameters}


def test_a_slope_without_its_square(gradcheck: GradCheck) -> None:
    with pytest.raises(GradientError, match="bug"):
        gradcheck.autograd(lambda x: tanh(x, slope=lambda t: 1 - t), engine.Value(0.4))
