"""A function of PyTorch with a backward pass of its own, and a module that uses it.

``gradcheck.autograd(f, *inputs)`` takes tensors and modules as they are. The gradient is what
PyTorch's reverse mode makes of `f`: the custom backward pass is part of it. float32 code is checked
in float64 where it allows that.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gradcheck import GradCheck, GradientError

torch: Any = pytest.importorskip("torch")
Function: Any = torch.autograd.Function
Module: Any = torch.nn.Module


class Swish(Function):
    """x times its sigmoid, with the output saved in the place of the graph between."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, dout: Any) -> Any:
        (x,) = ctx.saved_tensors
        sigmoid = torch.sigmoid(x)
        return dout * sigmoid * (1 + x * (1 - sigmoid))


class Gate(Module):
    """A linear layer and Swish."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 4))
        self.bias = torch.nn.Parameter(torch.zeros(3))

    def forward(self, x: Any) -> Any:
        return Swish.apply(x @ self.weight.T + self.bias)


def test_function(gradcheck: GradCheck) -> None:
    gradcheck.autograd(Swish.apply, torch.randn(5, 4))


def test_module(gradcheck: GradCheck) -> None:
    report = gradcheck.autograd(Gate(), torch.randn(5, 4))
    assert [parameter.name for parameter in report.parameters] == ["weight", "bias"]


def test_tensors_and_a_gradient_by_hand(gradcheck: GradCheck) -> None:
    X, Y = torch.randn(8, 3).double(), torch.randn(8, 2).double()

    def cost(params: Any) -> Any:
        return ((X @ params["W"] + params["b"] - Y) ** 2).mean()

    def backprop(params: Any) -> Any:
        off = 2 * (X @ params["W"] + params["b"] - Y) / Y.numel()
        return {"dW": X.T @ off, "db": off.sum(0)}

    gradcheck(cost, backprop, {"W": torch.randn(3, 2).double(), "b": torch.zeros(2).double()})


def test_a_backward_pass_that_forgets_the_upstream_gradient(gradcheck: GradCheck) -> None:
    class Forgetful(Swish):
        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return Swish.backward(ctx, torch.ones_like(dout))

    with pytest.raises(GradientError, match="ignores"):
        gradcheck.autograd(Forgetful.apply, torch.randn(5, 4))
