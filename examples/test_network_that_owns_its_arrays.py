"""Networks that own their arrays, in the styles of "Deep Learning from Scratch" and CS231n.

Their cost takes no parameters: it reads them from the object. With ``inplace=True`` the check
perturbs those very arrays, and puts every bit of them back, on an exception and on Ctrl-C too.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import GradCheck, ProblemError, check_gradients

Array: TypeAlias = npt.NDArray[np.float64]

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 5))
LABELS = rng.integers(0, 3, size=12)


# In the style of "Deep Learning from Scratch": layers alias the arrays of `params`.


class Affine:
    """A layer that keeps its input for the way back."""

    def __init__(self, W: Array, b: Array) -> None:
        self.W, self.b = W, b

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout: Array) -> Array:
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return np.asarray(dout @ self.W.T)


class Tanh:
    """An activation that keeps its output for the way back."""

    def forward(self, x: Array) -> Array:
        self.out = np.tanh(x)
        return self.out

    def backward(self, dout: Array) -> Array:
        return np.asarray(dout * (1 - self.out**2))


class LayeredNet:
    """Two affine layers that share their arrays with `params`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.params = {
            "W1": rng.normal(size=(5, 4)),
            "b1": np.zeros(4),
            "W2": rng.normal(size=(4, 3)),
            "b2": np.zeros(3),
        }
        p = self.params
        self.first, self.second = Affine(p["W1"], p["b1"]), Affine(p["W2"], p["b2"])
        self.between = Tanh()

    def loss(self, x: Array, t: npt.NDArray[np.int64]) -> float:
        scores = self.second.forward(self.between.forward(self.first.forward(x)))
        self.p = softmax(scores)
        return float(-np.log(self.p[np.arange(len(t)), t]).mean())

    def gradient(self, x: Array, t: npt.NDArray[np.int64]) -> dict[str, Array]:
        self.loss(x, t)
        dout = (self.p - np.eye(3)[t]) / len(t)
        self.first.backward(self.between.backward(self.second.backward(dout)))
        first, second = self.first, self.second
        return {"W1": first.dW, "b1": first.db, "W2": second.dW, "b2": second.db}


# In the style of CS231n: one method that returns the loss and the gradients.


class TwoLayerNet:
    """A network whose `loss` returns scores without labels, and loss and gradients with them."""

    def __init__(self, rng: np.random.Generator, reg: float = 0.0) -> None:
        self.params = {
            "W1": rng.normal(size=(5, 8)),
            "b1": rng.normal(size=8),
            "W2": rng.normal(size=(8, 3)),
            "b2": rng.normal(size=3),
        }
        self.reg = reg

    def loss(self, X: Array, y: npt.NDArray[np.int64] | None = None) -> Any:
        W1, b1, W2, b2 = self.params.values()
        hidden = np.maximum(0, X @ W1 + b1)
        scores = hidden @ W2 + b2
        if y is None:
            return scores
        p = softmax(scores)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        loss += self.reg * 0.5 * ((W1**2).sum() + (W2**2).sum())

        dscores = (p - np.eye(3)[y]) / len(y)
        dhidden = dscores @ W2.T * (hidden > 0)
        grads = {
            "W2": hidden.T @ dscores + self.reg * W2,
            "b2": dscores.sum(axis=0),
            "W1": X.T @ dhidden + self.reg * W1,
            "b1": dhidden.sum(axis=0),
        }
        return loss, grads


def softmax(scores: Array) -> Array:
    """Return probabilities, one row for each example."""
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def test_layered_net(gradcheck: GradCheck) -> None:
    """Hand over the network's own arrays; its functions take only X and the labels."""
    net = LayeredNet(np.random.default_rng(1))
    gradcheck(net.loss, net.gradient, net.params, X, LABELS, inplace=True)


@pytest.mark.parametrize("reg", [0.0, 0.1])
def test_two_layer_net(gradcheck: GradCheck, reg: float) -> None:
    """Say True for the gradient where the cost returns it as well."""
    net = TwoLayerNet(np.random.default_rng(1), reg)
    gradcheck(net.loss, True, net.params, data={"X": X, "y": LABELS}, inplace=True)


def test_arrays_are_put_back_to_the_last_bit(gradcheck: GradCheck) -> None:
    net = LayeredNet(np.random.default_rng(1))
    before = {name: value.tobytes() for name, value in net.params.items()}
    gradcheck(net.loss, net.gradient, net.params, X, LABELS, inplace=True)
    assert {name: value.tobytes() for name, value in net.params.items()} == before


def test_without_inplace_the_check_says_what_is_missing() -> None:
    """Closures that ignore their argument never see the copies that are otherwise perturbed."""
    net = LayeredNet(np.random.default_rng(1))
    with pytest.raises(ProblemError, match="inplace=True") as refused:
        check_gradients(
            lambda _: net.loss(X, LABELS), lambda _: net.gradient(X, LABELS), net.params
        )
    assert refused.value.code == "unreached-params"
