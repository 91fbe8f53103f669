"""The line of a custom backward pass inside PyTorch or JAX is named, or nothing is said."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from pytest_gradcheck import Report, check_gradients

TORCH = """
import numpy as np
import torch

draw = torch.Generator().manual_seed(0)
X = torch.randn(5, 3, generator=draw, dtype=torch.float64)
TENSORS = {"W": torch.randn(3, 2, generator=draw, dtype=torch.float64)}
ARRAYS = {"W": TENSORS["W"].numpy().copy()}


class Tensors(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        s = 1 / (1 + torch.exp(-(x @ w)))
        ctx.save_for_backward(x, w, s)
        return s

    @staticmethod
    def backward(ctx, ds):
        x, w, s = ctx.saved_tensors
        dz = ds * s * (1 + s)
        return dz @ w.T, x.T @ dz


class Arrays(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        z = x.detach().numpy() @ w.detach().numpy()
        s = 1 / (1 + np.exp(-z))
        ctx.kept = x.detach().numpy(), w.detach().numpy(), s
        return torch.from_numpy(s)

    @staticmethod
    def backward(ctx, dout):
        x, w, s = ctx.kept
        ds = dout.numpy()
        dz = ds * s * (1 + s)  # spoiled
        dx = dz @ w.T
        dw = x.T @ dz
        return torch.from_numpy(dx), torch.from_numpy(dw)


def loss(function, w):
    return (function.apply(X, w) ** 2).sum()


def with_tensors(function):
    def cost(p):
        return loss(function, p["W"])

    def grad(p):
        w = p["W"].detach().clone().requires_grad_(True)
        loss(function, w).backward()
        return {"W": w.grad}

    return cost, grad, TENSORS


def with_arrays(function):
    def cost(p):
        return float(loss(function, torch.from_numpy(p["W"])))

    def grad(p):
        w = torch.from_numpy(p["W"]).clone().requires_grad_(True)
        loss(function, w).backward()
        return {"W": w.grad.numpy()}

    return cost, grad, ARRAYS
"""

JAX = """
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
X, W = rng.standard_normal((5, 3)), rng.standard_normal((3, 2))


@jax.custom_vjp
def logistic(z):
    return 1 / (1 + jnp.exp(-z))


def forward(z):
    s = logistic(z)
    return s, s


def backward(s, ds):
    dz = ds * s * (1 + s)
    return (dz,)


logistic.defvjp(forward, backward)


def loss(w):
    return jnp.sum(logistic(X @ w) ** 2)


def cost(w):
    return float(loss(w))


def grad(w):
    slope = jax.grad(loss)(w)
    return np.asarray(slope)
"""

HOMEMADE = """
import numpy as np

X, W = np.random.default_rng(0).standard_normal((2, 3, 3))


class Boxed:
    __dlpack__ = None

    def __init__(self, array):
        self.array, self.grad = array, None


def cost(w):
    return np.sum(np.tanh(X @ w))


def grad(w):
    box = Boxed(w)
    exec("box.grad = Boxed(X.T @ (INSIDE))", {**globals(), "box": box})
    slope = box.grad.array
    return RETURNED
"""


def lines_told(report: Report) -> list[int]:
    assert not report.passed
    assert sys.gettrace() is None or "coverage" in type(sys.gettrace()).__module__
    return [f.where[1] for f in report.findings if f.code == "line" and f.where is not None]


@pytest.mark.parametrize("function", ["Tensors", "Arrays"])
@pytest.mark.parametrize("given", ["with_tensors", "with_arrays"])
def test_a_custom_function_of_torch_is_named_or_nothing_is(
    tmp_path: Path, function: str, given: str
) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "users_torch.py"
    path.write_text(TORCH, encoding="utf-8")
    user = runpy.run_path(str(path))
    cost, grad, params = user[given](user[function])
    spoiled = TORCH[: TORCH.index("# spoiled")].count("\n") + 1
    told = lines_told(check_gradients(cost, grad, params, locate=True))
    assert told == ([spoiled] if function == "Arrays" else [])


def test_a_custom_function_of_jax_is_named_or_nothing_is(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    path = tmp_path / "users_jax.py"
    path.write_text(JAX, encoding="utf-8")
    user = runpy.run_path(str(path))
    spoiled = JAX[: JAX.index("dz = ds")].count("\n") + 1
    told = lines_told(check_gradients(user["cost"], user["grad"], user["W"], locate=True))
    assert set(told) <= {spoiled}


@pytest.mark.parametrize(
    ("inside", "returned", "is_named"),
    [
        ("1 - np.tanh(X @ box.array) ** 2", "2 * slope", True),
        ("1 - np.tanh(X @ box.array)", "slope", False),
    ],
)
def test_what_a_framework_has_computed_is_not_blamed_on_the_line_that_takes_it(
    tmp_path: Path, inside: str, returned: str, is_named: bool
) -> None:
    source = HOMEMADE.replace("RETURNED", returned).replace("INSIDE", inside)
    path = tmp_path / "users_boxes.py"
    path.write_text(source, encoding="utf-8")
    user = runpy.run_path(str(path))
    told = lines_told(check_gradients(user["cost"], user["grad"], user["W"], locate=True))
    assert told == [len(source.splitlines())] * is_named
