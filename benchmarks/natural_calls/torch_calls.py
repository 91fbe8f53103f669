"""PyTorch: tensors, modules and functions with a backward pass of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from natural_calls import natural

torch.set_num_threads(1)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype | None = None) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spoiled_square(k: float) -> Any:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: Any, dout: torch.Tensor) -> torch.Tensor:
            (x,) = ctx.saved_tensors
            return k * 2 * x * dout

    return Square


@natural("W")
def a_dict_of_tensors_and_a_gradient_by_hand(check: Any, k: float) -> Any:
    X, Y = draw(8, 4, seed=1), draw(8, 3, seed=2)

    def cost(p: Any) -> Any:
        return ((X @ p["W"] + p["b"] - Y) ** 2).mean()

    def grad(p: Any) -> Any:
        off = 2 * (X @ p["W"] + p["b"] - Y) / Y.numel()
        return {"W": k * X.T @ off, "b": off.sum(0)}

    return check(cost, grad, {"W": draw(4, 3), "b": torch.zeros(3)})


@natural("[0]")
def a_list_of_float64_tensors(check: Any, k: float) -> Any:
    X = draw(6, 4, seed=1, dtype=torch.float64)

    def cost(p: Any) -> Any:
        return torch.tanh(X @ p[0] + p[1]).sum()

    def grad(p: Any) -> Any:
        slope = 1 - torch.tanh(X @ p[0] + p[1]) ** 2
        return [k * X.T @ slope, slope.sum(0)]

    return check(
        cost, grad, [draw(4, 2, dtype=torch.float64), draw(2, seed=3, dtype=torch.float64)]
    )


@natural("theta")
def one_tensor_that_requires_a_gradient(check: Any, k: float) -> Any:
    x = draw(5, dtype=torch.float64).requires_grad_()

    def grad(x: Any) -> Any:
        return k * x.exp().detach()

    return check(lambda x: x.exp().sum(), grad, x)


@natural("W")
def gradients_of_torch_beside_a_cost_in_torch(check: Any, k: float) -> Any:
    X = draw(6, 4, seed=1, dtype=torch.float64)

    def cost(p: Any) -> Any:
        return (torch.sigmoid(X @ p["W"]) ** 2).sum()

    def grad(p: Any) -> Any:
        W = p["W"].detach().clone().requires_grad_()
        cost({"W": W}).backward()
        assert W.grad is not None
        return {"W": k * W.grad}

    return check(cost, grad, {"W": draw(4, 2, dtype=torch.float64)})


@natural("0.weight")
def a_module_and_its_gradients_by_name(check: Any, k: float) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    X, Y = draw(6, 4, seed=1, dtype=torch.float64), draw(6, 2, seed=2, dtype=torch.float64)

    def cost(model: Any) -> Any:
        return nn.functional.mse_loss(model(X), Y)

    def grad(model: Any) -> Any:
        model.zero_grad()
        cost(model).backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        grads["0.weight"] = k * grads["0.weight"]
        return grads

    return check(cost, grad, model)


@natural("0.weight")
def a_module_that_owns_its_arrays(check: Any, k: float) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    X, Y = draw(6, 4, seed=1, dtype=torch.float64), draw(6, 2, seed=2, dtype=torch.float64)

    def cost() -> Any:
        return nn.functional.mse_loss(model(X), Y)

    def grad() -> Any:
        model.zero_grad()
        cost().backward()
        grads = [p.grad for p in model.parameters()]
        grads[0] = k * grads[0]
        return grads

    return check(cost, grad, model, inplace=True)


@natural("x")
def a_function_with_its_own_backward(check: Any, k: float) -> Any:
    return check.autograd(spoiled_square(k).apply, draw(3, 4))


@natural("x")
def a_function_in_float64(check: Any, k: float) -> Any:
    return check.autograd(spoiled_square(k).apply, draw(3, 4, dtype=torch.float64))


@natural("weight")
def a_module_with_a_custom_function(check: Any, k: float) -> Any:
    class Squares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(draw(3, 4))
            self.bias = nn.Parameter(torch.zeros(3))

        def forward(self, x: Any) -> Any:
            return x @ spoiled_square(k).apply(self.weight).T + self.bias

    return check.autograd(Squares(), draw(5, 4, seed=1))


@natural("logits")
def a_loss_with_integer_targets(check: Any, k: float) -> Any:
    class CrossEntropy(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: Any, targets: Any) -> Any:
            ctx.save_for_backward(logits, targets)
            return nn.functional.cross_entropy(logits, targets)

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            logits, targets = ctx.saved_tensors
            soft = logits.softmax(1) - nn.functional.one_hot(targets, logits.shape[1])
            return k * dout * soft / len(logits), None

    def loss(logits: Any, targets: Any) -> Any:
        return CrossEntropy.apply(logits, targets)

    return check.autograd(loss, draw(6, 3), torch.arange(6) % 3)


@natural("x")
def several_outputs(check: Any, k: float) -> Any:
    class SinCos(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.sin(), x.cos()

        @staticmethod
        def backward(ctx: Any, dsin: Any, dcos: Any) -> Any:
            (x,) = ctx.saved_tensors
            return dsin * x.cos() - k * dcos * x.sin()

    def both(x: Any) -> Any:
        return SinCos.apply(x)

    return check.autograd(both, draw(7, dtype=torch.float64))


@natural("w")
def a_layer_of_torch_with_a_cache(check: Any, k: float) -> Any:
    def forward(x: Any, w: Any, b: Any) -> Any:
        return x @ w + b, (x, w)

    def backward(dout: Any, cache: Any) -> Any:
        x, w = cache
        return dout @ w.T, k * x.T @ dout, dout.sum(0)

    return check.layer(forward, backward, draw(5, 4), draw(4, 3, seed=1), draw(3, seed=2))


@natural("x")
def a_pullback_made_by_torch(check: Any, k: float) -> Any:
    def f(x: Any) -> Any:
        x = x.detach().requires_grad_()
        out = torch.softmax(x, 1)

        def pullback(dout: Any) -> Any:
            return k * torch.autograd.grad(out, x, dout, retain_graph=True)[0]

        return out, pullback

    return check.vjp(f, draw(4, 3, dtype=torch.float64))


@natural("W")
def numpy_parameters_and_a_torch_cost(check: Any, k: float) -> Any:
    X = draw(6, 4, seed=1, dtype=torch.float64)

    def cost(p: Any) -> Any:
        return torch.relu(X @ torch.from_numpy(p["W"])).sum()

    def grad(p: Any) -> Any:
        W = torch.from_numpy(p["W"]).requires_grad_()
        torch.relu(X @ W).sum().backward()
        assert W.grad is not None
        return {"W": k * W.grad}

    return check(cost, grad, {"W": np.random.default_rng(0).normal(size=(4, 2))})


@natural("theta")
def value_and_gradient_in_one(check: Any, k: float) -> Any:
    X = draw(6, 4, seed=1, dtype=torch.float64)

    def loss(W: Any) -> Any:
        W = W.detach().requires_grad_()
        value = torch.logsumexp(X @ W, 0).sum()
        value.backward()
        return value, k * W.grad

    return check(loss, True, draw(4, 2, dtype=torch.float64))
