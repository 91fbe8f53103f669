"""A network from scratch, of layer objects, on the digits.

Each layer has ``forward(x)`` and ``backward(dout)``, its arrays in attributes and their gradients
beside them. ``gradcheck.layer(layer, x)`` checks a layer alone, its input and its arrays; the
network is checked in place, every array by the path that leads to it. All is put back afterwards.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits

from pytest_gradcheck import GradCheck, GradientError

Array: TypeAlias = npt.NDArray[Any]


class Dense:
    """A layer that keeps its input for the way back, and its gradients beside its arrays."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.W = rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)
        self.b = np.zeros(outputs)

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.asarray(x @ self.W + self.b)

    def backward(self, dout: Array) -> Array:
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return np.asarray(dout @ self.W.T)


class Normalize:
    """Batch normalization with running averages, which are no parameters."""

    def __init__(self, size: int) -> None:
        self.gamma, self.beta = np.ones(size), np.zeros(size)
        self.mean = np.zeros(size)

    def forward(self, x: Array) -> Array:
        self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
        self.scale = 1 / np.sqrt(x.var(axis=0) + 1e-5)
        self.hat = (x - x.mean(axis=0)) * self.scale
        return np.asarray(self.gamma * self.hat + self.beta)

    def backward(self, dout: Array) -> Array:
        self.dgamma, self.dbeta = (dout * self.hat).sum(axis=0), dout.sum(axis=0)
        d = self.gamma * dout
        return np.asarray(
            self.scale * (d - d.mean(axis=0) - self.hat * (d * self.hat).mean(axis=0))
        )


class Relu:
    """An activation that keeps what was above zero."""

    def forward(self, x: Array) -> Array:
        self.mask = x > 0
        return np.asarray(x * self.mask)

    def backward(self, dout: Array) -> Array:
        return np.asarray(dout * self.mask)


class Network:
    """Layers in a list, and a softmax with the cross-entropy at their end."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.layers: list[Any] = [Dense(64, 6, rng), Normalize(6), Relu(), Dense(6, 10, rng)]

    def loss(self, x: Array, labels: Array) -> float:
        for layer in self.layers:
            x = layer.forward(x)
        shifted = x - x.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self.off = (np.exp(logs) - np.eye(10)[labels]) / len(labels)
        return float(-logs[np.arange(len(labels)), labels].mean())

    def gradient(self, x: Array, labels: Array) -> None:
        self.loss(x, labels)
        dout = self.off
        for layer in reversed(self.layers):
            dout = layer.backward(dout)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def digits() -> tuple[Array, Array]:
    images, labels = load_digits(return_X_y=True)
    return images[:20] / 16, labels[:20]


def test_layers(gradcheck: GradCheck, rng: np.random.Generator) -> None:
    x = rng.normal(size=(8, 6))
    gradcheck.layer(Dense(6, 4, rng), x)
    gradcheck.layer(Normalize(6), x)
    gradcheck.layer(Relu(), x)


def test_network(
    gradcheck: GradCheck, rng: np.random.Generator, digits: tuple[Array, Array]
) -> None:
    net = Network(rng)
    report = gradcheck(net.loss, net.gradient, net, *digits, inplace=True)
    assert [p.name for p in report.parameters][:2] == ["layers[0].W", "layers[0].b"]
    assert not net.layers[1].mean.any()  # put back, like everything else


def test_a_bias_that_forgets_to_sum_over_half_of_the_batch(
    gradcheck: GradCheck, rng: np.random.Generator
) -> None:
    class Forgetful(Dense):
        def backward(self, dout: Array) -> Array:
            dx = super().backward(dout)
            self.db = dout[::2].sum(axis=0)
            return dx

    with pytest.raises(GradientError, match=r"bug at b\[\d\]"):
        gradcheck.layer(Forgetful(6, 4, rng), rng.normal(size=(8, 6)))
